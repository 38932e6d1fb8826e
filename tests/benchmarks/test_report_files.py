"""The files of a report: made again byte for byte, right with several writers, refused where they would do harm."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.records.store import RecordStore
from benchmarks.report import check_out_dir, files, write_report
from benchmarks.report.__main__ import report
from benchmarks.report.findings import FINDINGS_FILES
from benchmarks.report.provenance import CSV_FILES
from tests.benchmarks.sample_records import (
    make_config,
    make_environment,
    make_flags,
    make_record,
    replace_some_part,
    write_records,
)

MADE = {"README.md", "equal-epochs-5-55000.md", "published-elsewhere.md", *CSV_FILES, *FINDINGS_FILES}
FIGURES = {
    f"equal-epochs-5-55000-{name}.{suffix}"
    for name in ("time-to-accuracy", "ledger", "roofline-training", "classes", "confusion-cnn")
    for suffix in ("svg", "png")
}
TOP = Path(__file__).parents[2]
GPU = make_environment(gpu_name="NVIDIA H100", gpu_memory_gib=79.2, gpu_count=1)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results folder with the records of two machines, without reports."""
    out = tmp_path / "results"
    write_records(out / "amd-epyc-2-cores", *(make_record(make_config("cnn"), seed=seed) for seed in range(2)))
    write_records(out / "amd-epyc-2-cores", make_record(status="oom", top1_pct=None))
    write_records(out / "nvidia-h100", make_record(environment=GPU, flags=make_flags("half of a pair: \ud800")))
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def made(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


def test_after_a_run_its_machine_and_the_index_are_up_to_date(results: Path) -> None:
    write_report(results, "amd-epyc-2-cores", figures=False)
    assert made(results) == {"README.md"}
    assert made(results / "amd-epyc-2-cores") == MADE
    assert made(results / "nvidia-h100") == set()  # another machine's page is that machine's to write
    index = (results / "README.md").read_text(encoding="utf-8")
    assert "(amd-epyc-2-cores/README.md)" in index
    assert "(nvidia-h100/README.md)" in index
    before = (results / "amd-epyc-2-cores" / "README.md").read_text(encoding="utf-8")
    write_records(results / "amd-epyc-2-cores", make_record(make_config("lstm")))
    write_report(results, "amd-epyc-2-cores", figures=False)
    after = (results / "amd-epyc-2-cores" / "README.md").read_text(encoding="utf-8")
    assert "| lstm " not in before
    assert "| lstm " in after


def test_a_page_of_a_section_that_is_no_more_goes_and_other_files_stay(results: Path) -> None:
    machine = results / "nvidia-h100"
    other = make_record(make_config(budget="epochs:20"), environment=GPU)
    write_records(machine, other)
    (machine / "notes.md").write_text("mine", encoding="utf-8")
    assert report(machine, figures=False) == 0
    assert made(machine) == MADE | {"equal-epochs-20-55000.md", "notes.md"}
    (machine / "runs" / f"{other.run_id}.json").unlink()
    assert report(machine, figures=False) == 0
    assert made(machine) == MADE | {"notes.md"}


def test_a_report_is_made_again_byte_for_byte(results: Path, tmp_path: Path) -> None:
    assert report(results) == 0
    first = contents(results)
    assert {Path(name).name for name in first if name.startswith("amd") and "runs" not in name} == MADE | FIGURES
    copy = tmp_path / "elsewhere" / "again"  # neither the place nor the order nor the time of files matters
    for name in sorted(first, reverse=True):
        if "runs" in Path(name).parts:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(results / name, copy / name)
            os.utime(copy / name, (0, 0))
    assert report(copy) == 0
    assert contents(copy) == first


def test_the_command_gives_the_same_bytes_in_another_process_and_locale(results: Path) -> None:
    machine = results / "nvidia-h100"
    assert report(machine) == 0
    first = contents(machine)
    for name in first:
        if "runs" not in Path(name).parts:
            (machine / name).unlink()
    environment = {**os.environ, "LC_ALL": "C", "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "PYTHONPATH": str(TOP)}
    command = [sys.executable, "-m", "benchmarks.report", str(machine)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert contents(machine) == first and any(name.endswith(".svg") for name in first)


def test_the_folder_of_one_machine_is_enough_and_nothing_outside_is_touched(results: Path) -> None:
    assert report(results / "nvidia-h100", figures=False) == 0
    assert made(results / "nvidia-h100") == MADE
    assert made(results) == set()


def test_foreign_files_are_named_and_skipped(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = results / "amd-epyc-2-cores" / "runs"
    (runs / "half.json").write_text('{"schema_version": 1, "run', encoding="utf-8")
    (runs / "notes.txt").write_text("hello", encoding="utf-8")
    (results / "not-a-machine").mkdir()
    (results / "broken" / "runs").mkdir(parents=True)
    (results / "broken" / "runs" / "x.json").write_text("", encoding="utf-8")
    assert report(results, figures=False) == 0
    page = (results / "amd-epyc-2-cores" / "README.md").read_text(encoding="utf-8")
    assert "- File half.json was skipped: not JSON, or cut short" in page
    assert "- File notes.txt was skipped: not a record" in page
    printed = capsys.readouterr()
    assert "half.json: not JSON" in printed.err
    assert f"{results / 'broken'}: no readable record" in printed.out
    assert not (results / "broken" / "README.md").exists()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@settings(deadline=None, max_examples=50)  # it writes files
@given(path=st.lists(st.integers(0, 30), min_size=1, max_size=5), value=VALUES)
def test_a_record_with_any_part_replaced_is_shown_or_named(
    tmp_path_factory: pytest.TempPathFactory, path: list[int], value: Any
) -> None:
    machine = tmp_path_factory.mktemp("machine")
    store = RecordStore(machine)
    percentiles = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}
    file = store.write(make_record(latency={"batch_1": {**percentiles, "num_samples": 9}}))
    store.write(make_record(make_config("cnn")))
    content = json.loads(file.read_bytes())
    replace_some_part(content, path, value)
    file.write_text(json.dumps(content), encoding="utf-8")
    (found,) = files.regenerate(machine, figures=False).values()
    assert len(found[0]) + len(found[1]) == 2


@pytest.mark.parametrize("place", ["missing", "empty", "file", "broken"])
def test_a_folder_without_records_is_an_error_that_says_what_to_give(
    tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    (tmp_path / "broken" / "runs").mkdir(parents=True)
    (tmp_path / "broken" / "runs" / "x.json").write_text("{}", encoding="utf-8")
    before = contents(tmp_path)
    assert report(tmp_path / place) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / place} holds no readable record; give a results folder" in error
    assert contents(tmp_path) == before


def test_a_readme_that_somebody_wrote_is_not_replaced(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "README.md").write_text("# My project\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md was not made by benchmarks\.report"):
        check_out_dir(results, "amd-epyc-2-cores")
    with pytest.raises(ValueError, match=r"README\.md was not made by benchmarks\.report"):
        write_report(results, "amd-epyc-2-cores", figures=False)
    assert report(results) == 2
    assert "would be lost" in capsys.readouterr().err
    assert (results / "README.md").read_text(encoding="utf-8") == "# My project\n"


def test_pages_of_our_own_and_empty_ones_are_replaced(results: Path) -> None:
    check_out_dir(results, "new-machine")
    (results / "README.md").touch()
    write_report(results, "nvidia-h100", figures=False)
    check_out_dir(results, "nvidia-h100")


def test_a_machine_without_records_has_no_report(results: Path) -> None:
    with pytest.raises(ValueError, match="no readable record in .*unknown"):
        write_report(results, "unknown")


def test_a_record_that_comes_while_a_report_is_written_is_in_it(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late: Iterator[str] = iter(["lstm", "transformer"])
    write_page = files._write_page

    def another_process_is_faster(path: Path, text: str) -> None:
        write_page(path, text)
        if model := next(late, None):
            write_records(results / "amd-epyc-2-cores", make_record(make_config(model)))

    monkeypatch.setattr(files, "_write_page", another_process_is_faster)
    write_report(results, "amd-epyc-2-cores", figures=False)
    page = (results / "amd-epyc-2-cores" / "README.md").read_text(encoding="utf-8")
    assert "| lstm " in page
    assert "| transformer " in page


def test_a_report_ends_where_runs_come_faster_than_it_is_written(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index_page, seeds = files.index_page, iter(range(10, 15))

    def another_run_comes(machines: Any) -> str:
        write_records(results / "amd-epyc-2-cores", make_record(seed=next(seeds)))
        return index_page(machines)

    monkeypatch.setattr(files, "index_page", another_run_comes)
    write_report(results, "amd-epyc-2-cores", figures=False)
    assert next(seeds) == 12  # one repetition, which has the first of them


WRITER = """
import sys
from pathlib import Path
import numpy as np
from benchmarks.report import write_report
from benchmarks.records.store import RecordStore
from tests.benchmarks.sample_records import make_config, make_record

store = RecordStore(Path(sys.argv[1]) / "amd-epyc-2-cores")
for seed in range(8):
    record = make_record(make_config(sys.argv[2]), seed=seed)
    store.write_labels("5f1c0e", np.arange(100, dtype=np.uint8) % 10)
    record.predictions = store.write_predictions(record.run_id, np.full(100, seed, np.uint8), np.ones(100, np.float16))
    store.write(record)
    write_report(Path(sys.argv[1]), "amd-epyc-2-cores", figures=False)
"""


def test_two_sweeps_into_one_folder_lose_nothing(results: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(results)]
    writers = [subprocess.Popen([*command, model], cwd=TOP, stderr=subprocess.PIPE) for model in ("gru", "rnn")]
    for writer in writers:
        assert (writer.communicate(timeout=60)[1], writer.returncode) == (b"", 0)
    store = RecordStore(results / "amd-epyc-2-cores")
    records, problems = store.read_all()
    assert (len(records), problems) == (3 + 16, [])
    for record in records:
        if record.predictions is not None:
            assert store.read_predictions(record.run_id)[0].tolist() == [record.seed] * 100
    assert store.read_labels("5f1c0e").tolist() == list(range(10)) * 10
    assert not list(results.rglob("*.tmp"))
    written = contents(results / "amd-epyc-2-cores")
    assert report(results / "amd-epyc-2-cores", figures=False) == 0
    assert contents(results / "amd-epyc-2-cores") == written


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["a", "b"]], ids=str)
def test_wrong_arguments_are_code_2(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks.report", *arguments]
    assert subprocess.run(command, cwd=TOP, capture_output=True, check=False).returncode == 2
