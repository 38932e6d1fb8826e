"""Models that misbehave in the middle of a sweep: rows, and the others' results are as without them."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.run import main
from benchmarks.sweep import plan
from fmnist_zoo.__main__ import main as list_models
from fmnist_zoo.cli.child import MARK, ModelFailedError, ModelProcess
from tests.benchmarks import bad_models
from tests.benchmarks.fake_workers import children_left
from tests.benchmarks.kills import outcome

PLUGIN = Path(bad_models.__file__)
SAID: dict[str, str | None] = {
    "change_directory": None,
    "segfault": "signal 11",
    "leave": "exit code 0",
    "stop": "BdbQuit",
    "hang": r"time limit of [\d.]+ s.*\n.*in hang",
    "daemonize": "exit code 0",
    "flood": r"time limit of [\d.]+ s.*noise",
    "close_files": "exit code|stopped responding|Bad file descriptor",
    "widen": None,
}
"""What each deed leads to, whenever it is done; None where the model gets away with it."""
GOOD = ("tutorial_mlp_128_64", "good")
FEW = (
    "segfault_constructor", "hang_forward", "leave_constructor", "stop_forward", "change_directory_constructor",
    "leave_training",
)  # fmt: skip


def sweep(out: Path, models: Sequence[str], *options: str) -> tuple[int, dict[str, RunRecord]]:
    recipe = ["--budget", "flops:1e9", "--deterministic", "--no-figures", "--quiet", "--device", "cpu"]
    code = main([*recipe, "--models", *models, "--plugin", str(PLUGIN), "--out", os.path.relpath(out), *options])
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    records, problems = RecordStore(folder).read_all()
    assert not problems and len(records) == len({record.model for record in records})
    return code, {record.model: record for record in records}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of an installed plug-in, for this process and for those that it starts; to be written by a test."""
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fmnist_zoo.models]\noutside = outside\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    return tmp_path / "outside.py"


@pytest.mark.slow
@pytest.mark.parametrize(("code", "words"), [("import os; os._exit(3)", "exit code 3"), ("1 / 0", "ZeroDivisionError")])
def test_an_installed_plug_in_that_can_not_be_imported_is_left_out(
    code: str, words: str, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed.write_text(code)
    assert main(["--models", "mlp", "--budget", "flops:1e6", "--dry-run", "--device", "cpu", "--quiet"]) == 0
    said = capsys.readouterr()
    assert re.search(f"skipping installed plug-in outside.*{words}", said.err) and "235,914" in said.out
    assert main(["--models", "mlp", "--list"]) == 0
    listed = capsys.readouterr().out
    assert re.search(f"warning: skipping installed plug-in outside.*{words}", listed) and "235,914" in listed


@pytest.mark.slow
@pytest.mark.parametrize("command", [(), ("--list",)])
def test_a_plug_in_file_that_ends_the_process_that_imports_it_is_named(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ends.py").write_text("import os; os._exit(3)")
    assert main([*command, "--plugin", str(tmp_path / "ends.py"), "--out", str(tmp_path / "out")]) == 2
    assert re.search(r"plug-in .*ends\.py can't be imported: .*exit code 3", capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def check(bad: Sequence[str], tmp_path: Path, *options: str) -> None:
    code, records = sweep(tmp_path / "bad", [GOOD[0], *bad, GOOD[1]], *options)
    assert code == 1 and list(records) != [] and set(records) == {*GOOD, *bad}
    for name in bad:
        deed, _, when = name.rpartition("_")
        record = records[name]
        said = SAID[deed]
        if said is None:
            assert record.status == "ok" and record.num_params == 7850, record.error
            continue
        assert record.status in ("failed", "timeout"), name
        assert re.search(said, str(record.error), re.DOTALL), (name, record.error)
        assert (record.cost is None) == (record.num_params is None) == (when != "training"), name
        assert record.code_checksum is not None and record.metrics is None, name
    page = next((tmp_path / "bad").glob("*/README.md")).read_text()
    assert all(name in page for name in (*bad, *GOOD))
    assert children_left() == []
    _, alone = sweep(tmp_path / "alone", GOOD)
    for name in GOOD:
        assert outcome([records[name]]) == outcome([alone[name]])
        assert records[name].config_key == alone[name].config_key
        assert records[name].code_checksum == alone[name].code_checksum


@pytest.mark.slow
def test_models_that_misbehave_are_rows_and_the_others_are_as_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LIMIT_S", 20.0)
    check(FEW, tmp_path)


def test_models_that_misbehave_are_lines_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{deed.__name__}_constructor" for deed in bad_models.DEEDS if deed.__name__ not in ("hang", "flood")]
    assert list_models(["list", "mlp", *names, "good", "--plugin", str(PLUGIN)]) == 1
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[2:]}
    failed = [name for name, line in lines.items() if " failed: " in line]
    assert list(lines) == ["mlp", *names, "good"]
    assert failed == [name for name in names if name.split("_")[0] not in ("change", "widen")]
    assert "SIGSEGV" in lines["segfault_constructor"] and "exit code 0" in lines["leave_constructor"]
    assert "7,850" in lines["good"] and "235,914" in lines["mlp"]


def test_what_takes_too_long_is_ended_with_all_that_it_started() -> None:
    with ModelProcess() as process:
        assert process.selected(["mlp"]) == ["mlp"]
        with pytest.raises(ModelFailedError, match="^RuntimeError: hh") as caught:
            process.call(bad_models.shout)
        assert len(str(caught.value)) < 5000
        process.limit_s = 0.5
        with pytest.raises(ModelFailedError, match=r"timed out after 0\.5 s"):
            process.call(bad_models.hang)
        process.limit_s = 120.0
        mark = process.call(os.getenv, MARK)
        with pytest.raises(ModelFailedError, match="exit code 0"):
            process.call(bad_models.daemonize)
        assert mark and not any(mark in str(one.info["environ"]) for one in psutil.process_iter(["environ"]))
        assert process.selected(["mlp"]) == ["mlp"]


@pytest.mark.soak
def test_every_way_to_misbehave_at_every_moment(tmp_path: Path) -> None:
    check(
        [f"{deed.__name__}_{when}" for deed in bad_models.DEEDS for when in bad_models.WHEN], tmp_path, "--timeout=60"
    )
