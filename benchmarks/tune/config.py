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

    Trains on 55,000 images and validates on the other 5,000; the test split is never read. Repeat the command to
    continue a search that was stopped.

    Exit code: 0 if every model has all its trials and a good one among them, 1 if one has none, 2 for wrong arguments,
    130 if stopped.
    """

    models: tuple[str, ...] = ("all",)
    """Names, globs (lstm*), all (the five families), tutorials, or timm/NAME."""
    trials: int = 8
    """Trials per model."""
    preset: Preset = "quick"
    """Preset to tune for: its epochs, augmentation and optimizer."""
    optimizer: Optimizer | None = None
    """Optimizer to tune for. Default: the preset's."""
    budget: str | None = None
    """Budget of each trial: epochs:N, seconds:N or flops:N. Default: the preset's epochs."""
    seed: int = 0
    """Seed of the search; every trial trains with seed 0."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    dataset: DatasetName = "fashion_mnist"
    """Dataset to train and validate on."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    out: Path = Path("results")
    """Results folder; the search and its choice go to tuning/ in this machine's folder."""
    plugin: tuple[Path, ...] = ()
    """Python files that register more models."""
