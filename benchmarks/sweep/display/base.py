"""What the runner tells a display. This one follows the sweep and shows nothing."""

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
    """What a sweep is about to do, the command line that asked for it, and the folder where its results go.

    `runs` are those that aren't done yet, in their order, and `skipped` the records of the others. `earlier` are all
    records of the machine: they tell how long a run may take.
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
    """One run as it is seen: frozen, and replaced as a whole, so that another thread may draw it at any time.

    `trained` has the latest figures of its training, those of the last whole epoch and of the steps since then;
    `record` is there once the run has ended.
    """

    planned: PlannedRun
    state: Phase | Status | Literal["waiting", "stopped"] = "waiting"
    started_at_s: float | None = None
    trained: Mapping[str, Any] | None = None
    trained_at_s: float = 0.0
    record: RunRecord | None = None

    @property
    def name(self) -> str:
        """The run in words."""
        return f"{self.planned['variant']} seed {self.planned['seed']}"


class Display(ExitStack):
    """Follows a sweep, and makes an event of everything that happens; a subclass says how one looks.

    Args:
        clock: seconds, monotonic.
        now: the time, with its zone.

    Attributes:
        plan: what the sweep is about to do; empty before it begins.
        runs: in their order, up to date when an event is shown.
        is_over: whether nothing is going to happen any more.
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
        """Show what has just happened, one of `benchmarks.sweep.display.events`."""

    def sweep_started(self, plan: SweepPlan) -> None:
        """A sweep begins."""
        self.plan, self._started_at_s = plan, self._clock()
        self.runs = [RunView(planned=run) for run in plan.runs]
        self.callback(self._stop)
        counts = {"num_runs": len(plan.runs), "num_runs_skipped": len(plan.skipped)}
        self._tell("sweep_started", schema_version=EVENTS_VERSION, **_fields(plan), **counts)

    def run_started(self, label: str, seed: int) -> None:
        """A run begins."""
        names = [(run.planned["variant"], run.planned["seed"]) for run in self.runs]
        self._running = names.index((label, seed))
        self._change(state="starting", started_at_s=self._clock())
        self._tell("run_started", run_number=len(self.records) + 1, num_runs=len(self.runs))
        self._tell("phase", phase="starting")

    def worker_event(self, event: Mapping[str, Any]) -> None:
        """The running run's worker tells of a phase, `{"phase": "testing"}`, of steps or of an epoch, with figures."""
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
        """Which epoch it is, of how many, and what follows from the steps so far and the seconds that they took."""
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
        """The running run begins anew with another batch, since memory ran out with the one before."""
        planned = self.running.planned
        self._change(planned={**planned, "batch_size": batch_size}, state="starting", trained=None)
        before = planned["batch_size"]
        self.warn(f"{self.running.name}: out of memory at batch size {before}; retrying at {batch_size}")

    def run_finished(self, record: RunRecord) -> None:
        """The running run ended, well or not."""
        self._change(state=record.status, record=record)
        self._running = None
        unknown = dict.fromkeys(RunFinished.__annotations__)
        figures = {**(record.metrics or {}), **(record.throughput or {}), **record.ledger, "left_s": self.left_s()}
        self._tell("run_finished", **{**unknown, **_fields(record), **figures})

    def say(self, text: str) -> None:
        """Something else is being done, such as a comparison of arms."""
        self._tell("note", text=text)

    def warn(self, text: str) -> None:
        """Something that a person must know, also one who wants to hear little."""
        self.say(text)

    def sweep_finished(self, *, exit_code: int, complete: bool) -> None:
        """The sweep ended, or was stopped; complete where all of the plan is done and ok."""
        from benchmarks.sweep.display.findings import findings  # scipy, and the report's modules, load only here

        good = sum(record.status == "ok" for record in self.records)
        counts = {"num_runs_ok": good, "num_runs_not_ok": len(self.records) - good}
        how = {"exit_code": exit_code, "complete": complete, "wall_s": self.elapsed_s}
        found: dict[str, Any] = {"rankings": [], "flags": []}
        try:
            found = findings([*self.plan.skipped, *self.records], self.plan.machine_dir)
        except Exception as error:  # noqa: BLE001  # whatever it is, records and tables are whole without a summary
            self.warn(f"no summary: {type(error).__name__}: {error}")
        where = {"machine_dir": str(self.plan.machine_dir), "tables": str(self.tables)}
        self._tell("sweep_finished", **how, **counts, **found, **where)

    @property
    def tables(self) -> Path:
        """The page with the tables of the machine."""
        return self.plan.machine_dir / "README.md"

    @property
    def running(self) -> RunView:
        """The run that is under way."""
        assert self._running is not None, "no run is under way"
        return self.runs[self._running]

    @property
    def records(self) -> list[RunRecord]:
        """Of the runs that have ended, in their order."""
        return [run.record for run in self.runs if run.record is not None]

    @property
    def elapsed_s(self) -> float:
        """Since the sweep began."""
        return self._clock() - self._started_at_s

    def run_elapsed_s(self, run: RunView) -> float | None:
        """What a run has taken so far; all it took once it has ended. None where it hasn't begun or was stopped."""
        if run.record is not None:
            return run.record.ledger["wall_s"]
        return None if run.started_at_s is None or run.state == "stopped" else self._clock() - run.started_at_s

    def run_left_s(self, run: RunView) -> float | None:
        """Seconds of training that a run has left; None where that isn't known, or is over or overdue."""
        if run.trained is None or run.state != "training" or run.trained["train_left_s"] is None:
            return None
        left_s = run.trained["train_left_s"] - (self._clock() - run.trained_at_s)
        return left_s if left_s > 0 else None

    def left_s(self) -> float | None:
        """About how long the runs that are left will take, arms apart; None where one of them can't be told.

        Each as long as the last good one of its configuration, else as the others do. Counted FLOPs would not tell it
        better: small nets are bound by other things.
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
        """A run that was under way is not going to end."""
        self.is_over = True
        if self._running is not None:
            self._change(state="stopped")
            self._running = None

    def _tell(self, kind: str, **found: Any) -> None:
        """Show an event with the fields of its type, of what is found and of the run under way."""
        when = f"{self._now().astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        planned: Mapping[str, Any] = {} if self._running is None else self.running.planned
        known = {**planned, **found, "event": kind, "time_utc": when}
        self.show({name: known[name] for name in EVENTS[kind].__annotations__})


def failure_line(record: RunRecord) -> str:
    """What went wrong with a run, without its last lines."""
    error = (record.error or "no metrics").strip().partition("\n")[0].removesuffix("; its last lines:")
    return f"{record.variant} seed {record.seed}: {record.status}: {error}"


def _fields(value: SweepPlan | RunRecord) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
