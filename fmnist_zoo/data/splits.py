"""Images with labels, and the fixed validation split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor

from fmnist_zoo.data.catalog import NUM_CLASSES


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Split:
    """Images and their labels, on one device."""

    images: UInt8[Tensor, "n 1 28 28"]
    """Grey values from 0 to 255."""
    labels: Int64[Tensor, " n"]
    """Classes from 0 to 9."""

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.images.shape != (n, 1, 28, 28) or self.images.dtype != torch.uint8:
            raise ValueError(f"images must be ({n}, 1, 28, 28) uint8, got {_describe(self.images)}")
        if self.labels.shape != (n,) or self.labels.dtype != torch.int64:
            raise ValueError(f"labels must be ({n},) int64, got {_describe(self.labels)}")

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Split:
        """The same images and labels on `device`."""
        return Split(images=self.images.to(device), labels=self.labels.to(device))

    def select(self, indices: Int64[Tensor, " k"]) -> Split:
        """Copies of the images and labels at `indices`, in their order."""
        indices = indices.to(self.labels.device)
        return Split(images=self.images[indices], labels=self.labels[indices])


def holdout(split: Split, *, num_val: int = 5000, seed: int = 0) -> tuple[Split, Split]:
    """Divide a split into training images and `num_val` validation images, stratified by class.

    The division depends on labels, `num_val` and `seed` alone: it uses raw 64-bit outputs of PCG64, whose stream NumPy
    guarantees, not a library's shuffle. Both parts keep the order of `split`.

    Raises:
        ValueError: `num_val` leaves nothing to train or validate on.
    """
    if not 0 < num_val < len(split):
        raise ValueError(f"num_val={num_val} must be between 1 and {len(split) - 1} for a split of {len(split)} images")
    val = _stratified(split.labels.cpu().numpy(), num_val, seed)
    is_val = torch.zeros(len(split), dtype=torch.bool)
    is_val[torch.from_numpy(val)] = True
    return split.select(torch.nonzero(~is_val).squeeze(1)), split.select(torch.nonzero(is_val).squeeze(1))


def _stratified(labels: NDArray[np.int64], num_chosen: int, seed: int) -> NDArray[np.int64]:
    """Indices of `num_chosen` images: the first after shuffling each class and spreading it evenly over [0, 1]."""
    keys = np.random.PCG64(seed).random_raw(len(labels))
    by_class = np.lexsort((keys, labels))
    sizes = np.bincount(labels, minlength=NUM_CLASSES)
    starts = np.cumsum(sizes) - sizes
    classes = labels[by_class]
    position = (np.arange(len(labels)) - starts[classes] + 0.5) / sizes[classes]
    return by_class[np.lexsort((keys[by_class], position))[:num_chosen]]


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
