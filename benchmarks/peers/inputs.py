"""Input files of all arms: the same images, labels and initial weights for each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

    from fmnist_zoo.data.datasets import Split


def write_inputs(folder: Path, train: Split, val: Split, model: nn.Module) -> None:
    """Write what `Task` reads: NumPy files, the weights of a model of linear layers, and torchvision's idx files.

    Args:
        folder: exists.
        train: training images.
        val: validation images, written without labels.
        model: alternates weights and biases in its state, from the input on.
    """
    images, labels = train.images.squeeze(1).numpy(), train.labels.numpy()
    np.save(folder / "train_images.npy", images)
    np.save(folder / "train_labels.npy", labels)
    np.save(folder / "val_images.npy", val.images.squeeze(1).numpy())
    weights: dict[str, Any] = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    np.savez(folder / "weights.npz", **weights)
    raw = folder / "torchvision" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, count in {
        "train": len(labels),
        "t10k": 1,
    }.items():  # torchvision checks for test files but reads none
        write_idx(raw / f"{prefix}-images-idx3-ubyte", images[:count])
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels[:count].astype(np.uint8))


def write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    """Write unsigned bytes as an idx file (magic number, sizes, values; http://yann.lecun.com/exdb/mnist)."""
    header = np.array([0x0800 + values.ndim, *values.shape], dtype=">i4")
    path.write_bytes(header.tobytes() + values.tobytes())
