"""selfcheck.json: read as it was written, named where it is damaged, and its noise floor below the tables."""

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.records import selfcheck as results
from benchmarks.records.machine import Machine
from benchmarks.report.__main__ import report
from benchmarks.report.noise import NOT_MEASURED, between_arms, between_rows
from benchmarks.selfcheck import __main__ as command
from tests.benchmarks.sample_records import make_config, make_environment, make_record, write_records
from tests.benchmarks.sample_selfcheck import make_selfcheck

MACHINE = Machine.of(make_environment())


def test_a_check_reads_as_it_was_written(tmp_path: Path) -> None:
    found = make_selfcheck()
    results.write(tmp_path / "machine", found)
    assert results.read(tmp_path / "machine") == (found, None)
    assert command.measured_at(tmp_path / "machine") == "2026-11-24T15:00:00Z"


def test_where_there_is_no_check_nothing_is_wrong(tmp_path: Path) -> None:
    assert results.read(tmp_path) == (None, None)
    assert command.measured_at(tmp_path) is None


DAMAGED: dict[str, tuple[Callable[[str], str], str]] = {
    "cut short": (lambda text: text[: len(text) // 2], "can't be read"),
    "empty": (lambda text: "", "can't be read"),
    "nested without end": (lambda text: "[" * 100_000, "can't be read"),
    "something else": (lambda text: "[1, 2]", "is array, not object"),
    "another program's": (lambda text: '{"epochs": 10}', "has no schema_version"),
    "a newer one": (lambda text: text.replace('"schema_version": 2', '"schema_version": 3'), "$.schema_version is 3"),
    "an older one": (lambda text: text.replace('"schema_version": 2', '"schema_version": 1'), "$.schema_version is 1"),
    "a field is missing": (lambda text: text.replace('"num_pairs"', '"pairs"'), "has no num_pairs"),
    "no number": (lambda text: text.replace('"num_pairs": 1', '"num_pairs": "x"'), "num_pairs is str, not int"),
    "not finite": (lambda text: text.replace('"num_pairs": 1', '"num_pairs": NaN'), "not JSON"),
    "no time": (lambda text: text.replace("2026-11-24T15:00:00Z", "<b>yesterday</b>", 1), "is not a UTC time"),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_a_damaged_file_is_named_with_the_reason(tmp_path: Path, fault: str) -> None:
    damage, reason = DAMAGED[fault]
    path = results.write(tmp_path, make_selfcheck())
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    found, problem = results.read(tmp_path)
    assert found is None and problem is not None
    assert problem.name == "selfcheck.json" and reason in problem.reason


def test_sentences_for_tables() -> None:
    found = make_selfcheck()
    assert between_rows(found, MACHINE) == (
        "Noise floor of this machine (A/A check, 2026-11-24, fp32 eager, n = 1 pair of processes): differences below "
        "3.1% (mlp) in training and 4.0% (mlp) in inference are noise."
    )
    assert "n = 20 comparisons): ratios within " in between_arms(found, MACHINE)
    assert between_rows(None, MACHINE) == between_arms(None, MACHINE) == NOT_MEASURED
    assert "`python -m benchmarks.selfcheck`" in NOT_MEASURED
    other = Machine.of(make_environment(isa=["avx2"]))
    assert between_rows(found, other) == between_arms(found, other) == NOT_MEASURED


def page_with(machine_dir: Path) -> str:
    """The page of a machine with two tables, one for each budget."""
    write_records(machine_dir, make_record(), make_record(make_config("mlp", budget="epochs:20")))
    assert report(machine_dir) == 0
    return (machine_dir / "README.md").read_text(encoding="utf-8")


def test_the_noise_floor_stands_below_every_throughput_table(tmp_path: Path) -> None:
    results.write(tmp_path, make_selfcheck())
    page = page_with(tmp_path)
    assert page.count("### Throughput") == page.count(between_rows(make_selfcheck(), MACHINE)) == 2
    for part in page.split("### Throughput")[1:]:
        assert part.index("| mlp ") < part.index("Noise floor")
    assert NOT_MEASURED not in page


def test_without_a_check_the_page_says_how_to_make_one(tmp_path: Path) -> None:
    page = page_with(tmp_path)
    assert page.count("### Throughput") == page.count(NOT_MEASURED) == 2


def test_a_damaged_file_costs_the_sentence_and_not_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "selfcheck.json").write_text('{"schema_version": 1, "meas', encoding="utf-8")
    page = page_with(tmp_path)
    assert page.count(NOT_MEASURED) == 2
    assert "- File selfcheck.json was skipped: can't be read" in page
    assert f"skipped {tmp_path / 'selfcheck.json'}: can't be read" in capsys.readouterr().err
