"""What the runner asks of a worker, and how that says what it is doing."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

Phase = Literal["starting", "choosing", "training", "testing", "measuring", "profiling"]
"""What a run is doing: its process starts and reads data; precision and engine are chosen; it trains, compiling
included; the test split is read; speed and memory are measured; it is profiled."""


class CheckpointJob(TypedDict):
    """Where a run's state is kept: see `fmnist_zoo.training.state.Checkpoints`."""

    path: str
    key: str
    every_epochs: int | None


class Job(TypedDict):
    """One run, as the runner asks for it.

    `decided` are precision, engine and reason of the variant's other seeds where those were made by an earlier sweep.
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
