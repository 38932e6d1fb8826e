"""Jobs from runner to worker, and the phases it reports."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Phase = Literal["starting", "choosing", "compiling", "training", "testing", "measuring", "profiling"]
"""Phase of a run: start and data; choice of precision and engine; compilation or capture; training; testing;
measurement of speed and memory; profiling."""


class CheckpointJob(TypedDict):
    """Arguments of `fmnist_zoo.training.state.Checkpoints`."""

    path: str
    key: str
    every_epochs: int | None


class Job(TypedDict):
    """One run, as requested by the runner.

    `decided` has precision, engine and reason of the variant's other seeds if from an earlier sweep.
    """

    task: str
    config: dict[str, Any]
    seed: int
    run_id: str
    device: str
    measure: list[str]
    limit_s: float
    choice: str | None
    roofline: str | None
    data_dir: str | None
    machine_dir: str
    weights: str | None
    profile: bool
    training_flops: int
    plugins: list[str]
    decided: dict[str, str | None] | None
    checkpoint: CheckpointJob | None
