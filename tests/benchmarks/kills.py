"""Kills a real sweep with SIGKILL at random moments, again and again, and looks at what is left each time."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Literal

import psutil

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.cells import Frame
from benchmarks.report.frames import accuracy_frame
from benchmarks.report.rows import sections
from fmnist_zoo.data.cache import cache_root

Mode = Literal["all", "parent", "worker"]
MODES: tuple[Mode, ...] = ("all", "parent", "worker")
ROOT = Path(__file__).parents[2]
LONGEST_S = 3600.0
"""After which a sweep that says nothing is taken to hang; long, for machines that are suspended meanwhile."""


@dataclass(kw_only=True)
class KilledSweep:
    """A sweep in a folder of its own, started with `--resume` until it comes through.

    Attributes:
        out: its folder.
        options: of `benchmarks.run`.
        cache: folder for what it keeps beside its results, so that the user's own isn't touched.
        generator: of the moments and kinds of kills.
        kills: how many there were, by kind.
        announced: runs that were said to have ended well.
    """

    out: Path
    options: tuple[str, ...]
    cache: Path
    generator: random.Random
    kills: dict[Mode, int] = field(default_factory=lambda: dict.fromkeys(MODES, 0))
    announced: set[str] = field(default_factory=set)

    def go_on(self, modes: list[Mode]) -> bool:
        """Start it, and kill it once for each mode, at a random moment each; whether it came through before that."""
        process, events = self._started()
        try:
            while modes:
                if not self._waited(process, events):
                    break
                mode = modes.pop(0)
                self._kill(process, mode)
                if mode != "worker":
                    break
            else:
                self._wait_for_end(process, events)
        finally:
            self._end(process)
        self._take_in(events)
        assert process.returncode in (0, 1, -signal.SIGKILL), self._log.read_text()[-2000:]
        self.check()
        return process.returncode == 0

    @property
    def _log(self) -> Path:
        return self.out.with_suffix(".log")

    def check(self) -> None:
        """Nothing that was said to be finished is lost, and nothing is unreadable."""
        records, problems = self._read()
        assert not problems, problems
        lost = self.announced - {record.run_id for record in records if record.status == "ok"}
        assert not lost, f"lost: {lost}"
        self.announced |= {record.run_id for record in records if record.status == "ok"}

    def records(self) -> list[RunRecord]:
        """The good runs: exactly one for each configuration and seed."""
        good = [record for record in self._read()[0] if record.status == "ok"]
        assert len({(record.config_key, record.seed) for record in good}) == len(good), "a run was done twice"
        return good

    def folder(self) -> Path:
        (machine,) = (path for path in self.out.iterdir() if path.is_dir())
        return machine

    def _read(self) -> tuple[list[RunRecord], list[Any]]:
        return RecordStore(self.folder()).read_all() if self.out.is_dir() and any(self.out.iterdir()) else ([], [])

    def _started(self) -> tuple["subprocess.Popen[str]", "Queue[dict[str, Any]]"]:
        self.cache.mkdir(parents=True, exist_ok=True)
        data = self.cache / "fashion_mnist"
        if not data.is_symlink():
            data.symlink_to(cache_root() / "fashion_mnist")
        process = subprocess.Popen(
            [
                sys.executable, "-m", "benchmarks.run", *self.options, "--out", str(self.out), "--device", "cpu",
                "--deterministic", "--checkpoint-every", "1", "--retry-failed", "--json", "--no-figures",
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._log.open("a"),
            text=True,
            env={**os.environ, "FMNIST_ZOO_CACHE": str(self.cache), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        events: Queue[dict[str, Any]] = Queue()

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                if line.endswith("\n"):
                    events.put(json.loads(line))

        threading.Thread(target=read, daemon=True).start()
        return process, events

    def _waited(self, process: "subprocess.Popen[str]", events: "Queue[dict[str, Any]]") -> bool:
        """Wait for a random moment, counted from the start or from an event; False where it came through before."""
        for _ in range(self.generator.choice([0, 1, 2, 4, 6, 9])):
            if self._next(process, events) is None:
                return False
        try:
            process.wait(self.generator.uniform(0.0, 1.5))
        except subprocess.TimeoutExpired:
            return True
        return False

    def _next(self, process: "subprocess.Popen[str]", events: "Queue[dict[str, Any]]") -> dict[str, Any] | None:
        until = time.monotonic() + LONGEST_S
        while time.monotonic() < until:
            try:
                event = events.get(timeout=0.05)
            except Empty:
                if process.poll() is not None:
                    return None
                continue
            self._note(event)
            return event
        raise AssertionError(f"the sweep has said nothing for {LONGEST_S} s")

    def _wait_for_end(self, process: "subprocess.Popen[str]", events: "Queue[dict[str, Any]]") -> None:
        while self._next(process, events) is not None:
            pass
        process.wait()

    def _kill(self, process: "subprocess.Popen[str]", mode: Mode) -> None:
        below = _children(process.pid)
        worker = self.generator.sample(below, min(1, len(below)))  # the one that works, or one that waits for its turn
        victims = {"all": [process.pid, *below], "parent": [process.pid], "worker": worker}[mode]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it was just ending
        self.kills[mode] += bool(victims)

    def _end(self, process: "subprocess.Popen[str]") -> None:
        """No process may outlive its sweep by more than a moment, however that ended."""
        below = _children(process.pid)
        process.kill()
        process.wait()
        until = time.monotonic() + 30.0
        while (left := [pid for pid in below if _is_alive(pid)]) and time.monotonic() < until:
            time.sleep(0.05)
        assert not left, f"left over: {left}"

    def _take_in(self, events: "Queue[dict[str, Any]]") -> None:
        while not events.empty():
            self._note(events.get())

    def _note(self, event: dict[str, Any]) -> None:
        if event["event"] == "run_finished" and event["status"] == "ok":
            self.announced.add(event["run_id"])


def outcome(records: list[RunRecord]) -> dict[tuple[str, int], Any]:
    """Of each run what doesn't depend on a clock: scores, steps, and the history's losses and accuracies."""
    return {
        (record.variant, record.seed): (
            record.metrics,
            record.num_steps,
            [{name: value for name, value in epoch.items() if name != "elapsed_s"} for epoch in record.history],
        )
        for record in records
    }


def accuracy_table(records: list[RunRecord]) -> Frame:
    """The report's accuracy table, without columns of seconds."""
    (section,) = sections(records)
    return [{key: value for key, value in row.items() if not key.endswith("_s")} for row in accuracy_frame(section)]


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
