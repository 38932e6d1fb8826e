"""Results that can't be written where they belong."""

import errno
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.run import main
from benchmarks.sweep import safekeeping
from benchmarks.sweep.safekeeping import DELAYS_S, Safekeeping
from tests.benchmarks.sample_records import make_record
from tests.benchmarks.test_interrupted import TINY

RECORD = make_record()


class Disk:
    """Takes records, but for those that go below folders which fail so many times."""

    def __init__(self, **failures: int) -> None:
        self.failures = failures
        self.attempts = 0

    def write(self, folder: Path) -> Path:
        self.attempts += 1
        for name, left in self.failures.items():
            if name in str(folder) and left:
                self.failures[name] -= 1
                raise OSError(errno.EIO, f"attempt {self.attempts}", str(folder))
        return RecordStore(folder).write(RECORD)


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[Safekeeping, list[str], list[float]]]:
    for name in ("beside", "cached", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("benchmarks.sweep.safekeeping.cache_root", lambda: tmp_path / "cached")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    def new() -> tuple[Safekeeping, list[str], list[float]]:
        said, slept = list[str](), list[float]()
        return Safekeeping(tmp_path / "beside" / "out", "machine", said.append, slept.append), said, slept

    return new


def test_an_error_of_a_moment_costs_nothing(
    keeper: Callable[[], tuple[Safekeeping, list[str], list[float]]], tmp_path: Path
) -> None:
    safe, said, slept = keeper()
    assert safe.keep(RECORD, Disk(out=len(DELAYS_S)).write) and safe.all_in_place
    assert slept == list(DELAYS_S) and 1 < sum(slept) < 10 and said == []
    assert len(RecordStore(tmp_path / "beside" / "out" / "machine").read_all()[0]) == 1


@pytest.mark.parametrize(
    ("broken", "place"),
    [(["out"], "beside"), (["out", "beside"], "cached"), (["out", "beside", "cached"], "temporary")],
)
def test_a_result_is_put_into_a_folder_of_its_own(
    broken: list[str],
    place: str,
    keeper: Callable[[], tuple[Safekeeping, list[str], list[float]]],
    tmp_path: Path,
) -> None:
    safe, said, _ = keeper()
    disk = Disk(**dict.fromkeys(broken, 99))
    assert not safe.keep(RECORD, disk.write) and not safe.keep(RECORD, disk.write) and not safe.all_in_place
    (folder,) = tmp_path.glob("*/fmnist-zoo-unsaved-*")  # none that stayed empty, and the second record in the first's
    assert folder.parent.name == place and stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert RecordStore(folder).read_all()[0] == [RECORD]
    assert "attempt 1" in said[0] and str(folder) in said[0] and "out/machine/runs" in said[0]


def test_a_result_that_no_folder_takes_is_printed(
    keeper: Callable[[], tuple[Safekeeping, list[str], list[float]]], tmp_path: Path
) -> None:
    safe, said, _ = keeper()
    assert not safe.keep(RECORD, Disk(out=99, beside=99, cached=99, temporary=99).write)
    assert "attempt 1" in said[0]
    printed = json.loads(said[0][said[0].index("{") :])
    assert printed["run_id"] == RECORD.run_id and printed["metrics"]["test_top1_pct"] > 0
    assert list(tmp_path.glob("*/fmnist-zoo-unsaved-*")) == []


def test_the_command_says_that_a_record_lies_elsewhere_and_has_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(safekeeping, "DELAYS_S", (0.0,))
    write, failures = RecordStore.write, iter([True, True])

    def fails_twice(store: RecordStore, record: RunRecord) -> Path:
        if next(failures, False):
            raise OSError(errno.EIO, "a bad moment")
        return write(store, record)

    monkeypatch.setattr(RecordStore, "write", fails_twice)
    arguments = ["--models", "tutorial_mlp_128_64", "--in-process", "--seeds", "2", "--no-figures", "--quiet"]
    assert main([*arguments, "--out", str(tmp_path / "out"), *TINY]) == 1
    (elsewhere,) = tmp_path.glob("fmnist-zoo-unsaved-*")
    folders = (elsewhere, next((tmp_path / "out").glob("*/runs")).parent)
    assert [[record.seed for record in RecordStore(folder).read_all()[0]] for folder in folders] == [[0], [1]]
    assert "a bad moment" in capsys.readouterr().err
