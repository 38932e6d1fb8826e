"""What the runner tells a display. This one follows the sweep and shows nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from benchmarks.display.plan import SweepEnd, SweepPlan
from benchmarks.display.state import Phase, SweepState
from benchmarks.record import RunRecord
from fmnist_zoo.history import EpochStats


class Display:
    """Follows a sweep; a subclass says how it looks, in the hooks `on_...`, which do nothing here.

    Args:
        clock: seconds, monotonic.

    Attributes:
        sweep: how far it has come; up to date when a hook is called.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.sweep = SweepState(clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sweep.stop()

    def sweep_started(self, plan: SweepPlan) -> None:
        """A sweep begins."""
        self.sweep.begin(plan)
        self.on_sweep_started()

    def run_started(self, label: str, seed: int) -> None:
        """A run begins."""
        self.sweep.start(label, seed)
        self.on_run_started()

    def worker_event(self, event: Mapping[str, Any]) -> None:
        """The running run's worker tells of a phase, `{"phase": "testing"}`, or of an epoch, with its figures."""
        if "phase" in event:
            self.sweep.phase(event["phase"])
            self.on_phase(event["phase"])
        else:
            stats: EpochStats = event  # type: ignore[assignment]
            self.sweep.epoch(stats)
            self.on_epoch(stats)

    def run_finished(self, record: RunRecord) -> None:
        """The running run ended, well or not."""
        self.sweep.finish(record)
        self.on_run_finished(record)

    def say(self, text: str) -> None:
        """Something else is being done, such as a comparison of arms."""

    def warn(self, text: str) -> None:
        """Something that a person must know, also one who wants to hear little."""
        self.say(text)

    def batch_changed(self, batch_size: int) -> None:
        """The running run begins anew with another batch, since memory ran out with the one before."""
        run = self.sweep.running
        assert run is not None, "no run is under way"
        before = run.planned.batch_size
        self.sweep.change_batch(batch_size)
        self.warn(f"{run.planned.name}: out of memory with a batch of {before}; again with {batch_size}")

    def sweep_finished(self, end: SweepEnd) -> None:
        """The sweep ended, or was stopped."""

    def on_sweep_started(self) -> None:
        """The plan is known."""

    def on_run_started(self) -> None:
        """`sweep.running` is new."""

    def on_phase(self, phase: Phase) -> None:
        """`sweep.running` does something else."""

    def on_epoch(self, stats: EpochStats) -> None:
        """`sweep.running` has an epoch more."""

    def on_run_finished(self, record: RunRecord) -> None:
        """`sweep.records` has one more."""
