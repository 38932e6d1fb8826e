"""How far a sweep has come, and how long the rest may take. Every display follows it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from benchmarks.display.plan import PlannedRun, SweepPlan
from benchmarks.record import RunRecord
from benchmarks.schema import Status
from fmnist_zoo.history import EpochStats
from fmnist_zoo.recipe import Budget

Phase = Literal["starting", "choosing", "training", "testing", "measuring", "profiling"]
"""What a run is doing: its process starts and reads data; precision and engine are chosen; it trains, compiling
included; the test split is read; speed and memory are measured; it is profiled."""
State = Phase | Status | Literal["waiting", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunView:
    """One run as it is seen: frozen, and replaced as a whole, so that another thread may draw it at any time.

    Attributes:
        planned: what was known before.
        state: where it is, or how it ended.
        epoch: the last one that ended; None before the first.
        epoch_at_s: when that was, on the display's clock.
        started_at_s: when the run began, on the same clock.
        record: once it has ended.
    """

    planned: PlannedRun
    state: State = "waiting"
    epoch: EpochStats | None = None
    epoch_at_s: float | None = None
    started_at_s: float | None = None
    record: RunRecord | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.started_at_s is not None and self.record is None and self.state != "stopped"

    @property
    def num_epochs(self) -> int | None:
        """How many epochs it trains: by its budget, else by the steps planned so far; None before that is known."""
        budget = Budget.parse(self.planned.budget)
        if budget.kind == "epochs":
            return int(budget.amount)
        return None if self.epoch is None else math.ceil(self.epoch["scheduled_steps"] / self.planned.steps_per_epoch)

    @property
    def train_img_per_s(self) -> float | None:
        """Speed of training so far: images of all steps over the seconds of training."""
        if self.epoch is None or not self.epoch["elapsed_s"]:
            return None
        return self.epoch["num_steps"] * self.planned.batch_size / self.epoch["elapsed_s"]

    @property
    def train_left_s(self) -> float | None:
        """Seconds of training left when the last epoch ended, at the mean speed so far; None where nobody can know."""
        if self.epoch is None or self.state != "training":
            return None
        left, elapsed_s = self.epoch["scheduled_steps"] - self.epoch["num_steps"], self.epoch["elapsed_s"]
        return None if elapsed_s is None or left <= 0 else left * elapsed_s / self.epoch["num_steps"]


class SweepState:
    """The runs of a sweep and where they are.

    Attributes:
        plan: what the sweep is about to do; empty before it begins.
        runs: in their order.
        is_over: whether nothing is going to happen any more.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.plan = SweepPlan(command="", machine="", device="", runs=())
        self.runs: list[RunView] = []
        self.is_over = False
        self._clock = clock
        self._index: dict[tuple[str, int], int] = {}
        self._running: int | None = None
        self._started_at_s: float | None = None

    def begin(self, plan: SweepPlan) -> None:
        """The sweep begins; all its runs wait."""
        self.plan = plan
        self.runs = [RunView(planned=planned) for planned in plan.runs]
        self._index = {(planned.variant, planned.seed): index for index, planned in enumerate(plan.runs)}
        self._started_at_s = self._clock()

    def start(self, variant: str, seed: int) -> None:
        """A run begins."""
        self._running = self._index[variant, seed]
        self._change(state="starting", started_at_s=self._clock())

    def phase(self, phase: Phase) -> None:
        """The running run does something else now."""
        self._change(state=phase)

    def epoch(self, stats: EpochStats) -> None:
        """An epoch of the running run ended."""
        self._change(state="training", epoch=stats, epoch_at_s=self._clock())

    def change_batch(self, batch_size: int) -> None:
        """The running run begins anew with another batch."""
        run = self.running
        assert run is not None, "no run is under way"
        images = run.planned.steps_per_epoch * run.planned.batch_size
        planned = replace(run.planned, batch_size=batch_size, steps_per_epoch=images // batch_size)
        self._change(planned=planned, state="starting", epoch=None, epoch_at_s=None)

    def finish(self, record: RunRecord) -> None:
        """The running run ended, well or not."""
        self._change(state=record.status, record=record)
        self._running = None

    def stop(self) -> None:
        """Nothing runs any more; a run that was under way is not going to end."""
        self.is_over = True
        if self._running is not None:
            self._change(state="stopped")
            self._running = None

    @property
    def running(self) -> RunView | None:
        """The run that is under way."""
        return None if self._running is None else self.runs[self._running]

    @property
    def records(self) -> list[RunRecord]:
        """Of the runs that have ended, in their order."""
        return [run.record for run in self.runs if run.record is not None]

    @property
    def all_records(self) -> list[RunRecord]:
        """The same, after those that an earlier sweep has done: what a sweep that was never stopped would have."""
        return [*self.plan.skipped, *self.records]

    @property
    def elapsed_s(self) -> float | None:
        """Since the sweep began."""
        return None if self._started_at_s is None else self._clock() - self._started_at_s

    def run_elapsed_s(self, run: RunView) -> float | None:
        """What a run has taken so far; all it took once it has ended. None where it hasn't begun or was stopped."""
        if run.record is not None:
            return run.record.ledger["wall_s"]
        return self._clock() - run.started_at_s if run.is_running and run.started_at_s is not None else None

    def run_left_s(self, run: RunView) -> float | None:
        """Seconds of training that a run has left; None where that isn't known or is over."""
        if (left_s := run.train_left_s) is None or run.epoch_at_s is None:
            return None
        return _positive(left_s - (self._clock() - run.epoch_at_s))

    def left_s(self) -> float | None:
        """About how long the runs that are left will take, arms apart; None where one of them can't be told."""
        total = 0.0
        for run in self.runs:
            if run.state == "waiting" or run.is_running:
                if (left_s := self._left_s(run)) is None:
                    return None
                total += left_s
        return _positive(total)

    def _left_s(self, run: RunView) -> float | None:
        expected_s, training_s = self._expected_s(run.planned), self.run_left_s(run)
        if expected_s is None:
            return training_s
        return max(expected_s - (self.run_elapsed_s(run) or 0.0), training_s or 0.0)

    def _expected_s(self, planned: PlannedRun) -> float | None:
        """Wall seconds of a run: as others of its configuration took, in this sweep or earlier, else as runs here do.

        Counted FLOPs would not tell it better: on the records of two cores they erred more than the plain mean did,
        since small nets are bound by other things.
        """
        good = [record for record in self.records if record.status == "ok" and record.ledger["wall_s"] is not None]
        if same := [_wall_s(record) for record in good if record.config_key == planned.config_key]:
            return fmean(same)
        if planned.earlier_wall_s is not None:
            return planned.earlier_wall_s
        if not good:
            return None
        budget = Budget.parse(planned.budget)
        if budget.kind == "seconds":
            return budget.amount + fmean(_wall_s(record) - (record.ledger["train_s"] or 0.0) for record in good)
        return fmean(_wall_s(record) for record in good)

    def _change(self, **fields: Any) -> None:
        assert self._running is not None, "no run is under way"
        self.runs[self._running] = replace(self.runs[self._running], **fields)


def _wall_s(record: RunRecord) -> float:
    wall_s = record.ledger["wall_s"]
    assert wall_s is not None
    return wall_s


def _positive(seconds: float) -> float | None:
    """What is overdue is unknown, and not 0."""
    return seconds if seconds > 0 else None
