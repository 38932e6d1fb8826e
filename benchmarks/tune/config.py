"""The typed options of `python -m benchmarks.tune`. Parsing them imports neither torch nor Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.sweep.config import DatasetName, Preset
from fmnist_zoo.recipe import Optimizer

LR_RANGE: dict[Optimizer, tuple[float, float]] = {
    "sgd": (5e-3, 5e-1),
    "adam": (5e-4, 3e-2),
    "adamw": (5e-4, 3e-2),
    "rmsprop": (1e-4, 1e-2),
    "muon": (2e-3, 5e-2),
}
"""Searched on a logarithmic scale, the same for every model."""
WEIGHT_DECAY_RANGE = (5e-3, 5e-1)
"""Likewise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneConfig:
    """Search learning rate and weight decay of the equal track, with the same number of trials for every model.

    Trains on 55,000 images and judges by the other 5,000; the test split is never read. A search that was stopped goes
    on where it was, with the same command.
    """

    models: tuple[str, ...] = ("all",)
    """As for benchmarks.run."""
    trials: int = 8
    """For each model."""
    preset: Preset = "quick"
    """Its epochs, augmentation and optimizer are those of the equal track that is tuned for."""
    optimizer: Optimizer | None = None
    """In place of the preset's."""
    budget: str | None = None
    """epochs:N, seconds:N or flops:N of each trial. Default: the preset's epochs."""
    seed: int = 0
    """Of the search; every trial trains with seed 0."""
    device: str = "auto"
    dataset: DatasetName = "fashion_mnist"
    data_dir: Path | None = None
    out: Path = Path("results")
    """The search and what it chose go to tuning/ in this machine's folder."""
    plugin: tuple[Path, ...] = ()
    """Python files that register further models."""
