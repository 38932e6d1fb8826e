"""Task of an arm, with its files of images and initial weights. Imports no framework."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fmnist_zoo.recipe import Engine, Precision

LR = 1e-3

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Pixels `(n, 28, 28)` to logits `(n, 10)`, with the current weights."""
Pause = Callable[[float, int, Predict], None]
"""Called by an arm after each epoch with the mean training loss (nats), the number of training images and a prediction
function. Returns when the next epoch may begin; the time in between isn't measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Training of one arm, the same for all arms except `arm`, `precision` and `engine`."""

    arm: str
    """Key of `benchmarks.peers.arms.ARMS`."""
    folder: str
    """Folder with images, labels and initial weights; validation logits are written to it."""
    batch_size: int
    epochs: int
    device: str = "cpu"
    """For torch; JAX uses its default device."""
    num_workers: int = 2
    """For arms with a DataLoader."""
    lr: float = LR
    seed: int = 0
    """For the data order; initial weights are given."""
    precision: Precision = "fp32"
    """Of fmnist_zoo; the others train in fp32."""
    engine: Engine = "eager"
    """Of fmnist_zoo."""

    def training_data(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images `(n, 28, 28)` and labels `(n,)`."""
        return self._load("train_images"), self._load("train_labels")

    def validation_images(self) -> NDArray[np.uint8]:
        """Images `(n, 28, 28)`."""
        return self._load("val_images")

    def initial_weights(self) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Per layer, from the input on: weight `(out, in)` and bias `(out,)`."""
        with np.load(Path(self.folder) / "weights.npz") as arrays:
            flat = [arrays[name] for name in arrays.files]
        return list(zip(flat[::2], flat[1::2], strict=True))

    @property
    def idx_root(self) -> Path:
        """Root folder for torchvision's FashionMNIST, with the training images."""
        return Path(self.folder) / "torchvision"

    @property
    def logits_path(self) -> Path:
        """File of validation logits `(n, 10)` after the latest epoch."""
        return Path(self.folder) / f"{self.arm}-logits.npy"

    def _load(self, name: str) -> NDArray[Any]:
        return np.load(Path(self.folder) / f"{name}.npy")
