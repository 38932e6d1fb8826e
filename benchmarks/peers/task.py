"""What an arm is told to do, and the files with images and initial weights that it reads. No framework is imported."""

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
"""From pixels `(n, 28, 28)` to logits `(n, 10)`, with the weights as they are now."""
Pause = Callable[[float, int, Predict], None]
"""Called by an arm at the end of each epoch, with its mean training loss (nats), the number of images it trained on and
a way to predict. Returns when the next epoch may begin; nothing that happens in between is timed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One training for one arm. All arms get the same one, but for `arm`, `precision` and `engine`."""

    arm: str
    """A key of `benchmarks.peers.arms.ARMS`."""
    folder: str
    """Where images, labels and initial weights lie, and where the logits on the validation images go."""
    batch_size: int
    epochs: int
    device: str = "cpu"
    """Of torch; JAX takes its default device."""
    num_workers: int = 2
    """Of the arms with a DataLoader."""
    lr: float = LR
    seed: int = 0
    """Of the data's order; the initial weights are given."""
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
        """A folder that torchvision's FashionMNIST accepts as its root, with the training images."""
        return Path(self.folder) / "torchvision"

    @property
    def logits_path(self) -> Path:
        """Logits `(n, 10)` of the validation images after the last epoch so far."""
        return Path(self.folder) / f"{self.arm}-logits.npy"

    def _load(self, name: str) -> NDArray[Any]:
        return np.load(Path(self.folder) / f"{name}.npy")
