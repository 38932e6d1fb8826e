"""The worker's side of a run that may go on from a checkpoint; the runner's is `benchmarks.sweep.resume`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.records.schema import Flag
from fmnist_zoo.training.choose import Choice
from fmnist_zoo.training.state import Checkpoints

if TYPE_CHECKING:
    from benchmarks.sweep.job import Job
    from fmnist_zoo.training.fit import FitResult
    from fmnist_zoo.training.ledger import Ledger


def open_checkpoints(job: Job) -> Checkpoints | None:
    """Where the run's state is kept, and what an earlier process has left there; None where none is to be kept."""
    if (asked := job["checkpoint"]) is None:
        return None
    return Checkpoints(Path(asked["path"]), key=asked["key"], every_epochs=asked["every_epochs"])


def begun_with(checkpoints: Checkpoints | None) -> Choice | None:
    """The precision and engine of the process that left a checkpoint."""
    if checkpoints is None or (state := checkpoints.state) is None:
        return None
    return Choice(precision=state.precision, engine=state.engine, reason=state.about.get("reason"))


def resumed_flag(result: FitResult, ledger: Ledger) -> Flag | None:
    """What a reader has to know of a run that went on; None where it was never ended."""
    if result.resumed_epochs is None:
        return None
    return {
        "kind": "resumed",
        "evidence": f"A process that was ended trained the first {result.resumed_epochs} of {len(result.history)} "
        f"epochs; {ledger.carried_s:.1f} s of the wall time were its own, without what it did after its checkpoint. "
        "Load is that of the rest, and the energy isn't known.",
        "advice": None,
    }
