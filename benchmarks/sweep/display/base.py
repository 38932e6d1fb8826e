"""Interface between runner and display; the base class tracks the sweep and shows nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import Status
from benchmarks.sweep.display.events import EVENTS, EVENTS_VERSION, PlannedRun, RunFinished
from benchmarks.sweep.job import Phase


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPlan:
    """Planned runs, command line and results folder of a sweep.

    `runs` are those to do, in order, `skipped` the records of the others. `earlier` are all records of the machine, for
    time estimates.
    """

    command: str
    machine: str
    device: str
    machine_dir: Path
    runs: tuple[PlannedRun, ...]
    skipped: tuple[RunRecord, ...] = ()
    earlier: tuple[RunRecord, ...] = ()
    num_comparisons: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """State of a run: frozen and replaced as a whole, so that another thread can draw it at any time.

    `trained` has the latest figures, of the last complete epoch and the steps since; `record` is set at the end.
    """

    planned: PlannedRun
    state: Phase | Status | Literal["waiting", "stopped"] = "waiting"
    started_at_s: float | None = None
    trained: Mapping[str, Any] | None = None
    trained_at_s: float = 0.0
    record: RunRecord | None = None

    @property
    def name(self) -> str:
        """Variant and seed."""
        return f"{self.planned['variant']} seed {self.planned['seed']}"


class Display(ExitStack):
    """Tracks a sweep and creates an event for everything that happens; subclasses show them.

    Args:
        clock: seconds, monotonic.
        now: current time, with time zone.

    Attributes:
        plan: empty before the sweep starts.
        runs: in order, up to date when an event is shown.
        is_over: whether the sweep has ended.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        super().__init__()
        self.plan = SweepPlan(command="", machine="", device="", machine_dir=Path(), runs=())
        self.runs: list[RunView] = []
        self.is_over = False
        self._clock, self._now, self._started_at_s = clock, now, clock()
        self._running: int | None = None

    def show(self, event: Mapping[str, Any]) -> None:
        """Show an event of `benchmarks.sweep.display.events`."""

    def sweep_started(self, plan: SweepPlan) -> None:
        """Start of a sweep."""
        self.plan, self._started_at_s = plan, self._clock()
        self.runs = [RunView(planned=run) for run in plan.runs]
        self.callback(self._stop)
        counts = {"num_runs": len(plan.runs), "num_runs_skipped": len(plan.skipped)}
        self._tell("sweep_started", schema_version=EVENTS_VERSION, **_fields(plan), **counts)

    def run_started(self, label: str, seed: int) -> None:
        """Start of a run."""
        names = [(run.planned["variant"], run.planned["seed"]) for run in self.runs]
        self._running = names.index((label, seed))
        self._change(state="starting", started_at_s=self._clock())
        self._tell("run_started", run_number=len(self.records) + 1, num_runs=len(self.runs))
        self._tell("phase", phase="starting")

    def worker_event(self, event: Mapping[str, Any]) -> None:
        """Event of the current run's worker: a phase, `{"phase": "testing"}`, steps or an epoch, with figures."""
        if "phase" not in event:
            trained = {**(self.running.trained or {}), **event, **self._pace(event)}
            if "step" not in event:
                trained |= {"epochs_done": event["epoch"], "step": trained.get("epoch_steps")}
            self._change(trained=trained, trained_at_s=self._clock())
        if (phase := event.get("phase", "training")) != self.running.state:
            self._change(state=phase)
            self._tell("phase", phase=phase)
        if "phase" not in event and event.get("step") != 0:
            self._tell("steps" if "step" in event else "epoch", **(self.running.trained or {}))

    def _pace(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Epoch, number of epochs, speed and time left, from the steps and seconds so far."""
        done, planned, train_s = event["num_steps"], event["scheduled_steps"], event["elapsed_s"]
        if "step" in event:
            before, left = event["epochs_done"], planned - done + event["step"]
            epoch, num_epochs = before + 1, before + math.ceil(left / event["epoch_steps"])
        else:
            epoch, num_epochs = event["epoch"], math.ceil(planned * event["epoch"] / done)
        return {
            "epoch": epoch,
            "num_epochs": num_epochs,
            "train_s": train_s,
            "train_img_per_s": done * self.running.planned["batch_size"] / train_s if train_s else None,
            "train_left_s": (planned - done) * train_s / done if planned > done > 0 else None,
        }

    def batch_changed(self, batch_size: int) -> None:
        """Restart of the current run at a smaller batch size, after out of memory."""
        planned = self.running.planned
        self._change(planned={**planned, "batch_size": batch_size}, state="starting", trained=None)
        before = planned["batch_size"]
        self.warn(f"{self.running.name}: out of memory at batch size {before}; retrying at {batch_size}")

    def run_finished(self, record: RunRecord) -> None:
        """End of the current run."""
        self._change(state=record.status, record=record)
        self._running = None
        unknown = dict.fromkeys(RunFinished.__annotations__)
        figures = {**(record.metrics or {}), **(record.throughput or {}), **record.ledger, "left_s": self.left_s()}
        self._tell("run_finished", **{**unknown, **_fields(record), **figures})

    def say(self, text: str) -> None:
        """Progress message, for example about a comparison of arms."""
        self._tell("note", text=text)

    def warn(self, text: str) -> None:
        """Warning, shown by quiet displays too."""
        self.say(text)

    def sweep_finished(self, *, exit_code: int, complete: bool) -> None:
        """End of the sweep; `complete` if every planned run is ok."""
        from benchmarks.sweep.display.findings import findings  # imported late: scipy and the report

        good = sum(record.status == "ok" for record in self.records)
        counts = {"num_runs_ok": good, "num_runs_not_ok": len(self.records) - good}
        how = {"exit_code": exit_code, "complete": complete, "wall_s": self.elapsed_s}
        found: dict[str, Any] = {"rankings": [], "flags": []}
        try:
            found = findings([*self.plan.skipped, *self.records], self.plan.machine_dir)
        except Exception as error:  # noqa: BLE001  # records and tables are complete without a summary
            self.warn(f"no summary: {type(error).__name__}: {error}")
        where = {"machine_dir": str(self.plan.machine_dir), "tables": str(self.tables)}
        self._tell("sweep_finished", **how, **counts, **found, **where)

    @property
    def tables(self) -> Path:
        """The machine's results page."""
        return self.plan.machine_dir / "README.md"

    @property
    def running(self) -> RunView:
        """The current run."""
        assert self._running is not None, "no run is under way"
        return self.runs[self._running]

    @property
    def records(self) -> list[RunRecord]:
        """Records of finished runs, in order."""
        return [run.record for run in self.runs if run.record is not None]

    @property
    def elapsed_s(self) -> float:
        """Seconds since the sweep started."""
        return self._clock() - self._started_at_s

    def run_elapsed_s(self, run: RunView) -> float | None:
        """Seconds a run has taken; None if it hasn't started or was stopped."""
        if run.record is not None:
            return run.record.ledger["wall_s"]
        return None if run.started_at_s is None or run.state == "stopped" else self._clock() - run.started_at_s

    def run_left_s(self, run: RunView) -> float | None:
        """Remaining training seconds of a run; None if unknown, over or overdue."""
        if run.trained is None or run.state != "training" or run.trained["train_left_s"] is None:
            return None
        left_s = run.trained["train_left_s"] - (self._clock() - run.trained_at_s)
        return left_s if left_s > 0 else None

    def left_s(self) -> float | None:
        """Estimated time of the remaining runs, without comparisons of arms; None if one is unknown.

        Each as long as its configuration's last ok run, else as the others. Counted FLOPs would be no better: small
        nets are bound by other things.
        """
        keys = {run.planned["config_key"] for run in self.runs}
        known = [*sorted(self.plan.earlier, key=lambda record: record.run_id), *self.records]
        wall_s = {
            record.config_key: seconds
            for record in known
            if record.status == "ok" and record.config_key in keys and (seconds := record.ledger["wall_s"]) is not None
        }
        usual_s, total_s = fmean(wall_s.values()) if wall_s else None, 0.0
        for run in self.runs:
            if run.record is None and run.state != "stopped":
                expected_s, training_s = wall_s.get(run.planned["config_key"], usual_s), self.run_left_s(run)
                if expected_s is None and training_s is None:
                    return None
                total_s += max((expected_s or 0.0) - (self.run_elapsed_s(run) or 0.0), training_s or 0.0)
        return total_s if total_s > 0 else None

    def _change(self, **fields: Any) -> None:
        assert self._running is not None, "no run is under way"
        self.runs[self._running] = replace(self.runs[self._running], **fields)

    def _stop(self) -> None:
        """Mark the current run as stopped."""
        self.is_over = True
        if self._running is not None:
            self._change(state="stopped")
            self._running = None

    def _tell(self, kind: str, **found: Any) -> None:
        """Show an event with the fields of its type, from `found` and the current run."""
        when = f"{self._now().astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        planned: Mapping[str, Any] = {} if self._running is None else self.running.planned
        known = {**planned, **found, "event": kind, "time_utc": when}
        self.show({name: known[name] for name in EVENTS[kind].__annotations__})


def failure_line(record: RunRecord) -> str:
    """A failed run's status and error, without its last lines."""
    error = (record.error or "no metrics").strip().partition("\n")[0].removesuffix("; its last lines:")
    return f"{record.variant} seed {record.seed}: {record.status}: {error}"


def _fields(value: SweepPlan | RunRecord) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
