"""Runs of several machines and versions of torch in one folder, as earlier sweeps left them: each has own tables."""

import csv
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records.arms import ArmsRecord, ArmsStore
from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord
from benchmarks.records.selfcheck import write
from benchmarks.report.files import read_folders, regenerate
from benchmarks.report.html.content import page_content
from benchmarks.report.rows import Section, sections
from benchmarks.report.section import conditions_text
from tests.benchmarks.sample_records import make_config, make_environment, make_record, write_records
from tests.benchmarks.sample_selfcheck import make_selfcheck
from tests.benchmarks.test_report_arms import COMPILED, EAGER, comparison

ZEN3 = {"microarchitecture": "zen3", "isa": ["avx2"]}
LARGE = {**ZEN3, "l3_cache_kib": 98304}
UNRECORDED: dict[str, Any] = {}
NOT_MEASURED = "The noise floor of this machine was not measured"


def run_of(*machines: dict[str, Any], **fields: Any) -> list[RunRecord]:
    """A run of the mlp on each machine, each a minute after the one before."""
    return [
        make_record(environment=make_environment(**one), minutes=minutes, **fields)
        for minutes, one in enumerate(machines)
    ]


def test_rows_of_different_machines_never_share_a_table() -> None:
    zen3, large, unrecorded = (make_environment(**one) for one in (ZEN3, LARGE, UNRECORDED))
    records = [
        make_record(make_config(model), environment=environment, minutes=minutes, top1_pct=top1)
        for model, top1 in (("mlp", 89.0), ("cnn", 92.0))
        for minutes, environment in enumerate((unrecorded, large, zen3))
    ]
    shown = sections(records)
    assert [[row.label for row in section.rows] for section in shown] == [["cnn", "mlp"]] * 3
    found = [{Machine.of(run.environment) for row in section.rows for run in row.records} for section in shown]
    assert found == [{Machine.of(one)} for one in (zen3, large, unrecorded)]  # that of the last run comes first
    assert not any(row.replaced for section in shown for row in section.rows)
    texts = [conditions_text(section.conditions) for section in shown]
    assert all("on AMD EPYC (zen3), 2 cores, " in text for text in texts[:2]) and len(set(texts)) == 3
    assert texts[2].endswith("on AMD EPYC, 2 cores, instruction sets and caches not recorded")


def test_a_page_of_one_machine_and_one_torch_names_neither_in_its_headings() -> None:
    (section,) = sections(run_of(ZEN3, ZEN3))
    assert (section.conditions.machine, section.conditions.torch, len(section.rows[0].replaced)) == (None, None, 1)


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2.9.1", "2.10.0"), ("2.15.0.dev20261001", "2.15.0"), ("2.14.1", "2.15.0.dev20261001+cpu"),
        ("2.15.0a0+git1", "2.15.0"), ("2.15.0+cpu", "2.15.0+cu132"), ("unknown", "2.11.0"), ("", "2.11.0"),
        ("2.15.0.dev20261001", "2.15.0.dev20261102"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("older_first", [True, False])
def test_a_table_has_the_newest_torch_and_earlier_ones_are_history(older: str, newer: str, older_first: bool) -> None:
    order = (older, newer) if older_first else (newer, older)
    current, past = sections(run_of(*({**ZEN3, "torch": version} for version in order)))
    assert (current.conditions.torch, current.is_past) == (newer, False)
    assert (past.conditions.torch, past.is_past) == (older, True)


def test_what_only_an_older_torch_has_run_is_no_history() -> None:
    records = run_of({"torch": "2.15.0"})
    records += run_of({"torch": "2.14.0"}, config=make_config(budget="epochs:1"))
    found: list[Section] = sections(records)
    assert [(one.conditions.budget, one.conditions.torch, one.is_past) for one in found] == [
        ("epochs:5", "2.15.0", False), ("epochs:1", "2.14.0", False),
    ]  # fmt: skip


def test_a_page_keeps_machines_and_versions_apart_to_the_last_file(tmp_path: Path) -> None:
    """Also the noise floor and the comparisons of arms."""
    newest, older = {**ZEN3, "torch": "2.15.0"}, {**ZEN3, "torch": "2.14.0"}
    write_records(tmp_path, *run_of(UNRECORDED, older, newest))
    write(tmp_path, {**make_selfcheck(), "environment": make_environment(**newest)})
    for minutes, one in enumerate((newest, UNRECORDED)):
        record: ArmsRecord = comparison(EAGER, COMPILED, minutes=minutes)
        record.environment = make_environment(**one)
        ArmsStore(tmp_path).write(record)
    regenerate(tmp_path)
    current, past = ((tmp_path / name).read_text(encoding="utf-8") for name in ("README.md", "earlier-torch.md"))
    assert "## Earlier versions of torch" in current
    assert current.count("### Accuracy") == 2 and past.count("### Accuracy") == 1
    assert "torch 2.14.0" in past.partition("### Accuracy")[0] and ".svg" not in past
    # Below each table of throughput, and below each machine's comparisons of arms.
    assert current.count("Noise floor of") == current.count(NOT_MEASURED) == 2 and past.count("Noise floor of") == 1
    assert current.count("## Precision and engine on AMD EPYC") == 2
    assert NOT_MEASURED in page_content(read_folders(tmp_path)).data["machines"][0]["noise"]
    rows = list(csv.DictReader((tmp_path / "throughput.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len({(row["machine"], row["torch"]) for row in rows}) == 3


def test_a_table_over_equal_machines_says_so(tmp_path: Path) -> None:
    write_records(tmp_path, *run_of({**ZEN3, "host": "0a0a0a0a"}, {**ZEN3, "host": "1b1b1b1b"}, seed=0))
    regenerate(tmp_path, figures=False)
    said = "Runs are from 2 identical machines (hosts 0a0a0a0a, 1b1b1b1b)."
    assert said not in (tmp_path / "README.md").read_text(encoding="utf-8")  # the later one alone is shown
    write_records(tmp_path, *run_of({**ZEN3, "host": "0a0a0a0a"}, seed=1))
    regenerate(tmp_path, figures=False)
    assert said in (tmp_path / "README.md").read_text(encoding="utf-8")
