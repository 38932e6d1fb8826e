"""Commands that are told to write where nothing can be: a sentence, before anything is measured, never a traceback."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import benchmarks.peers.__main__ as peers
import benchmarks.report.mistakes.__main__ as mistakes
import benchmarks.selfcheck.__main__ as selfcheck
import benchmarks.tune.__main__ as tune
import fmnist_zoo.__main__ as library
from benchmarks import run
from benchmarks.records.class_labels import add_labels
from benchmarks.records.store import RecordStore
from benchmarks.reproduce import __main__ as reproduce
from benchmarks.workers.client import Worker
from fmnist_zoo.data import load_dataset
from tests.benchmarks.sample_records import make_record, write_records
from tests.full_disk import room_for

COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str, list[str]]] = {
    "run": (run.main, "--out", ["--models", "mlp", "--device", "cpu"]),
    "selfcheck": (selfcheck.main, "--out", ["--device", "cpu"]),
    "tune": (tune.main, "--out", ["--models", "mlp", "--device", "cpu"]),
    "peers": (peers.main, "--out", ["--device", "cpu"]),
    "reproduce": (reproduce.main, "--out", ["--device", "cpu"]),
    "its tar": (reproduce.main, "--tar", ["--device", "cpu"]),
    "data": (library.main, "--figures", ["data"]),
}


@pytest.fixture
def no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured: a process to measure in is an error."""

    carry_out = Worker.run

    def refuse(*args: Any, **kwargs: Any) -> Any:
        if isinstance(args[0], Worker) and args[1].get("task") in ("expand", "try"):
            return carry_out(*args, **kwargs)  # of a plan, for which nothing is measured
        raise AssertionError("a process was started")

    monkeypatch.setattr(Worker, "run", refuse)
    monkeypatch.setattr(peers, "ArmProcess", refuse)


@pytest.mark.usefixtures("no_process")
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("below", [".", "deeper/still"])
def test_a_place_below_a_file_is_named(
    name: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    main, option, arguments = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # for the process that makes a plan
    file = tmp_path / "file"
    file.write_text("mine")
    place = file / below / "all.tar" if option == "--tar" else file / below
    assert main([*arguments, option, str(place)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and str(file) in error and "choose another folder" in error
    assert file.read_text() == "mine" and not list(tmp_path.glob("*.tar"))


def test_labels_and_sheets_that_do_not_fit_onto_a_disk_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = load_dataset("fashion_mnist", progress=False)
    record = make_record()
    assert record.dataset is not None
    record.dataset["checksum"] = dataset.checksum
    write_records(tmp_path, record)
    with room_for(1000):
        assert add_labels(tmp_path) == 2
    error = capsys.readouterr().err
    assert "free some space" in error and RecordStore(tmp_path).labels_path(dataset.checksum).name in error
    assert not list(tmp_path.glob("test-labels*"))
    assert add_labels(tmp_path) == 0
    capsys.readouterr()
    with room_for(1000):
        code = mistakes.main([str(tmp_path), "--figures", str(tmp_path / "figures")])
    error = capsys.readouterr().err
    assert code == 2 and error.startswith("error: ") and error.count("\n") == 1
