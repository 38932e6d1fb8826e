"""What a display is told before a sweep begins, and when it has ended."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.record import RunRecord

if TYPE_CHECKING:
    from benchmarks.plan import Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedRun:
    """A run that the sweep will do.

    Attributes:
        variant: the row's label in the sweep.
        config_key: identity of its configuration, seed apart.
        budget: as the recipe writes it, such as `epochs:5`.
        batch_size: images a step.
        steps_per_epoch: of training.
        earlier_wall_s: what a run of this configuration took on this machine in an earlier sweep; None where none did.
    """

    variant: str
    model: str
    seed: int
    config_key: str
    budget: str
    batch_size: int
    steps_per_epoch: int
    earlier_wall_s: float | None = None

    @property
    def name(self) -> str:
        """The run in words."""
        return f"{self.variant} seed {self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepPlan:
    """What a sweep is about to do.

    Attributes:
        command: the command line that asked for it.
        machine: the name of the machine's folder.
        device: where it runs.
        runs: in their order, without those that are done already.
        num_skipped: runs of the plan that are done already.
        skipped: their records.
        num_comparisons: of arms, after the runs.
    """

    command: str
    machine: str
    device: str
    runs: tuple[PlannedRun, ...]
    num_skipped: int = 0
    skipped: tuple[RunRecord, ...] = ()
    num_comparisons: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepEnd:
    """How a sweep ended: the exit code, whether all of the plan is done and ok, and the machine's folder of results."""

    exit_code: int
    complete: bool
    machine_dir: Path


def planned_runs(
    plan: Plan, *, done: Container[tuple[str, int]], earlier: Iterable[RunRecord]
) -> tuple[PlannedRun, ...]:
    """The runs of a plan that aren't done yet.

    Args:
        plan: all of it.
        done: configuration key and seed of what need not be done again.
        earlier: records of this machine, from which to tell how long a run may take.
    """
    walls = _wall_s_by_key(earlier)
    return tuple(
        PlannedRun(
            variant=variant.label,
            model=variant.config["model"],
            seed=seed,
            config_key=variant.key,
            budget=variant.config["recipe"]["budget"],
            batch_size=variant.config["recipe"]["batch_size"],
            steps_per_epoch=variant.config["num_train"] // variant.config["recipe"]["batch_size"],
            earlier_wall_s=walls.get(variant.key),
        )
        for variant in plan.variants
        for seed in plan.seeds
        if (variant.key, seed) not in done
    )


def _wall_s_by_key(records: Iterable[RunRecord]) -> Mapping[str, float]:
    """Seconds of the latest good run of each configuration."""
    found: dict[str, float] = {}
    for record in sorted(records, key=lambda record: record.run_id):
        if record.status == "ok" and (wall_s := record.ledger["wall_s"]):
            found[record.config_key] = wall_s
    return found
