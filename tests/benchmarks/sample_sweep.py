"""A sweep as the runner tells a display of it, with a clock that goes by hand."""

from pathlib import Path
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.sweep.display import Display, SweepPlan
from tests.benchmarks.sample_records import make_record

END = {"exit_code": 1, "complete": False}
STEPS_PER_EPOCH = 100


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def wait(self, seconds: float) -> None:
        self.now_s += seconds


def make_plan(*variants: str, seeds: int = 1, budget: str = "epochs:5", **fields: Any) -> SweepPlan:
    """A plan of these variants, each with so many seeds; `fields` are those of the plan."""
    runs = tuple(
        {
            "variant": variant, "model": "mlp", "seed": seed, "config_key": f"key of {variant}", "budget": budget,
            "batch_size": 250,
        }
        for variant in variants
        for seed in range(seeds)
    )  # fmt: skip
    values: dict[str, Any] = {"command": "run", "machine": "here", "machine_dir": Path("results/here"), "device": "cpu"}
    return SweepPlan(runs=runs, **(values | fields))


def make_epoch(number: int, *, epochs: int = 5, elapsed_s: float | None = None, **fields: Any) -> dict[str, Any]:
    """An epoch of ten seconds, 2,500 images a second with `make_plan`'s batch, as a worker tells of it."""
    return {
        "epoch": number, "train_loss": 0.5 / number, "train_top1_pct": 80.0 + number, "val_loss": 0.6 / number,
        "val_top1_pct": 84.0 + number, "lr": 0.1, "elapsed_s": 10.0 * number if elapsed_s is None else elapsed_s,
        "num_steps": STEPS_PER_EPOCH * number, "scheduled_steps": STEPS_PER_EPOCH * epochs, **fields,
    }  # fmt: skip


def make_steps(step: int, *, epoch: int = 1, **fields: Any) -> dict[str, Any]:
    """Steps within an epoch, as fast as those of `make_epoch`."""
    done = STEPS_PER_EPOCH * (epoch - 1) + step
    return {
        "epochs_done": epoch - 1, "step": step, "epoch_steps": STEPS_PER_EPOCH, "num_steps": done,
        "scheduled_steps": 5 * STEPS_PER_EPOCH, "elapsed_s": done / 10, **fields,
    }  # fmt: skip


def make_result(variant: str, seed: int = 0, *, wall_s: float = 60.0, error: str | None = None) -> RunRecord:
    """A record of one of the plan's runs: ok, or failed with that error."""

    def edit(record: RunRecord) -> None:
        record.config_key = f"key of {variant}"
        record.ledger["wall_s"] = wall_s

    good = error is None
    return make_record(
        seed=seed, variant=variant, status="ok" if good else "failed", error=error, top1_pct=89.51 if good else None,
        history=[make_epoch(5)] if good else [], edit=edit,
    )  # fmt: skip


def tell_run(display: Display, variant: str, seed: int = 0, *, error: str | None = None, epochs: int = 5) -> None:
    """One run from its start to its end."""
    display.run_started(variant, seed)
    for phase in ("choosing", "training"):
        display.worker_event({"phase": phase})
    for number in range(1, epochs + 1):
        display.worker_event(make_epoch(number))
    display.worker_event({"phase": "testing"})
    display.run_finished(make_result(variant, seed, error=error))
