"""Ctrl-C and its kin against whole sweeps: what was finished is kept and reported, and no process is left over."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchmarks.measure.roofline import roofline_path
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.run import main
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import make_plan
from benchmarks.sweep.runner import Runner
from fmnist_zoo.cli.parse import INTERRUPTED
from fmnist_zoo.data import Dataset
from fmnist_zoo.data.cache import cache_root
from tests.benchmarks.fake_workers import children_left
from tests.benchmarks.sample_records import report_text

PLUGIN = """
import subprocess, time
from pathlib import Path
from torch import nn
from fmnist_zoo import register_model

HERE = Path(__file__).parent

@register_model("waits", family="mlp", summary="", reference="")
class Waits(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps == 8 and self.training:
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            (HERE / "under_way").touch()
            while not (HERE / "go").exists():
                time.sleep(0.02)
            (HERE / "go").unlink()
        return self.layer(images.flatten(1))

@register_model("interrupts", family="mlp", summary="", reference="")
class Interrupts(Waits):
    def forward(self, images):
        self.steps += self.training
        if self.steps == 8:
            raise KeyboardInterrupt
        return self.layer(images.flatten(1))
"""
TINY = ["--device", "cpu", "--budget", "flops:4e8", "--batch-size", "500", "--precision", "fp32", "--engine", "eager"]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "models.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, fashion_mnist: Dataset, roofline_file: Path) -> Path:
    """A cache with the data and a roofline as an earlier sweep would have kept it: measuring one isn't the point."""
    folder = tmp_path_factory.mktemp("cache")
    options = RunConfig(out=folder / "out")
    environment = Runner(
        make_plan(RunConfig(models=("mlp",), device="cpu")), options, Display(), command="run"
    ).environment
    (folder / "rooflines").mkdir()
    shutil.copy(roofline_file, folder / "rooflines" / roofline_path(environment).name)
    if (cache_root() / "fashion_mnist").is_dir():  # else the data is where FMNIST_ZOO_DATA says
        (folder / "fashion_mnist").symlink_to(cache_root() / "fashion_mnist")
    return folder


class Sweep:
    """A sweep in a process of its own, with signals as a terminal gives them to a program."""

    def __init__(self, plugin: Path, out: Path, cache: Path, *models: str) -> None:
        words = ["--models", *models, "waits", "--plugin", str(plugin), "--seeds", "3", "--out", str(out), *TINY]
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
        self._folder = plugin.parent
        self._log = (self._folder / "log.txt").open("w+")
        try:
            self._process = psutil.Popen(
                [sys.executable, "-m", "benchmarks.run", *words],
                stdout=self._log,
                stderr=subprocess.STDOUT,
                cwd=Path(__file__).parents[2],
                env={**os.environ, "FMNIST_ZOO_CACHE": str(cache)},
            )
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        self.family: list[psutil.Process] = []

    def wait_for_run(self) -> None:
        """Until a run is under way: it then waits for `go`, and has a child."""
        self._until((self._folder / "under_way").exists)
        (self._folder / "under_way").unlink()
        self.family += self._process.children(recursive=True)

    def go(self) -> None:
        (self._folder / "go").touch()

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def says(self, words: str) -> None:
        self._until(lambda: words in self.output())

    def output(self) -> str:
        return (self._folder / "log.txt").read_text()

    def end(self) -> int:
        """The exit code; none of the processes that were seen may be left, but for a moment after a kill."""
        code = self._process.wait(60)
        deadline = time.monotonic() + 30 * (code == -signal.SIGKILL)
        while any(map(_lives, self.family)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.family and not [process for process in self.family if _lives(process)]
        self._log.close()
        return int(code)

    def _until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 120
        while not condition():
            assert self._process.is_running() and time.monotonic() < deadline, self.output()
            time.sleep(0.02)


def _lives(process: psutil.Process) -> bool:
    """Not as a zombie either: it is dead, and whoever adopted it hasn't asked yet."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def records_of(out: Path) -> tuple[list[RunRecord], str]:
    (machine,) = (path for path in out.iterdir() if path.is_dir())
    records, problems = RecordStore(machine).read_all()
    assert problems == []
    return records, report_text(machine)


def test_once_finishes_the_run_at_hand_and_reports(plugin: Path, tmp_path: Path, cache: Path) -> None:
    sweep = Sweep(plugin, tmp_path / "out", cache)
    sweep.wait_for_run()
    sweep.send(signal.SIGINT)
    sweep.says("stopping after the current run")
    sweep.go()
    assert sweep.end() == INTERRUPTED
    records, page = records_of(tmp_path / "out")
    assert [(record.seed, record.status) for record in records] == [(0, "ok")] and records[0].run_id in page
    assert "1 of 1 runs ok" in sweep.output() and "Traceback" not in sweep.output()


def test_twice_ends_it_at_once_and_loses_nothing_that_was_finished(plugin: Path, tmp_path: Path, cache: Path) -> None:
    sweep = Sweep(plugin, tmp_path / "out", cache)
    sweep.wait_for_run()
    sweep.go()
    sweep.wait_for_run()  # of seed 1
    sweep.send(signal.SIGTERM)
    sweep.says("stopping after the current run")
    sweep.send(signal.SIGHUP)
    assert sweep.end() == INTERRUPTED
    records, page = records_of(tmp_path / "out")
    assert [(record.seed, record.status) for record in records] == [(0, "ok")] and records[0].run_id in page
    assert "1 of 1 runs ok" in sweep.output() and "Traceback" not in sweep.output()


@pytest.mark.parametrize("kill", [False, True])
def test_however_it_ends_no_worker_is_left_waiting_for_its_turn(
    kill: bool, plugin: Path, tmp_path: Path, cache: Path
) -> None:
    sweep = Sweep(plugin, tmp_path / "out", cache, "tutorial_mlp_128_64")
    sweep.wait_for_run()
    workers = [process for process in sweep.family if any("benchmarks.workers" in word for word in process.cmdline())]
    assert len(workers) == 2  # one has done its first seed
    if not kill:
        sweep.send(signal.SIGINT)
        sweep.says("stopping after the current run")
    sweep.send(signal.SIGKILL if kill else signal.SIGINT)
    assert sweep.end() == (-signal.SIGKILL if kill else INTERRUPTED)
    records, _ = records_of(tmp_path / "out")
    assert [(record.model, record.seed) for record in records] == [("tutorial_mlp_128_64", 0)]


@pytest.mark.usefixtures("own_registry")
def test_in_process_under_a_clock_that_jumps(
    plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C breaks off the second run; the first has seconds of a clock that can't be set, and says where it ran."""
    jumps = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    arguments = ["--models", "tutorial_mlp_128_64", "interrupts", "--plugin", str(plugin), "--in-process"]
    started = time.perf_counter()
    assert main([*arguments, "--out", str(tmp_path / "out"), *TINY]) == INTERRUPTED
    elapsed_s = time.perf_counter() - started
    (record,), _ = records_of(tmp_path / "out")
    assert record.model == "tutorial_mlp_128_64" and record.status == "ok"
    parts = {name: seconds for name, seconds in record.ledger.items() if name != "wall_s"}
    assert all(isinstance(seconds, float) and seconds >= 0 for seconds in parts.values())
    assert sum(parts.values()) == pytest.approx(record.ledger["wall_s"]) and record.ledger["wall_s"] < elapsed_s  # type: ignore[arg-type, operator]
    assert record.history[-1]["elapsed_s"] > 0  # type: ignore[operator]
    assert [flag["kind"] for flag in record.flags if flag["kind"] == "in_process"]
    assert children_left() == []
    assert "stopped" in capsys.readouterr().err


def test_what_can_not_go_together_is_said_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", "mlp", "--in-process", "--timeout", "5"]) == 2
    assert "--timeout 5 can't be combined with --in-process" in capsys.readouterr().err
    assert main(["--models", "mlp", "--timeout", "0"]) == 2
    assert "--timeout 0 must be a positive number" in capsys.readouterr().err
