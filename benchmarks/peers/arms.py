"""The ways to train one net that are compared. Each yields the mean training loss of an epoch after each epoch.

All start from the same weights and take the same images, batch size, optimizer (Adam 1e-3) and precision (fp32).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from fmnist_zoo.data.datasets import Dataset, Split
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import loss_and_top1
from fmnist_zoo.recipe import Augmentation, Recipe
from fmnist_zoo.training.fit import train_epoch
from fmnist_zoo.training.step import TrainingStep


def tutorial_loop(
    model: nn.Module, dataset: Dataset, batch_size: int, epochs: int, num_workers: int
) -> Iterator[float]:
    """The loop of the tutorials: dataset with ToTensor, a shuffling DataLoader, `loss.item()` in each step."""
    device = next(model.parameters()).device
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    with torchvision_dataset(dataset.train) as images_and_labels:
        loader = DataLoader(images_and_labels, batch_size=batch_size, shuffle=True, num_workers=num_workers)
        for _ in range(epochs):
            total = 0.0
            for images, labels in loader:
                images, labels = images.to(device), labels.to(device)  # noqa: PLW2901  # as the tutorials write it
                optimizer.zero_grad()
                loss = criterion(model(images), labels)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(labels)
            yield total / len(images_and_labels)


def fmnist_zoo(model: nn.Module, dataset: Dataset, recipe: Recipe) -> Iterator[float]:
    """This suite: resident images, fused optimizer, losses read once an epoch."""
    split = dataset.train.to(next(model.parameters()).device)
    loader = TrainLoader(split, batch_size=recipe.batch_size, augmentation=Augmentation(), seed=0)
    scale = PixelScale.of(recipe.input_scaling, dataset)
    step = TrainingStep(model, recipe, scale=scale, precision="fp32", engine="eager")
    step.warm_up(loader.batches(0, 2))
    total = int(recipe.budget.amount) * loader.steps_per_epoch
    for epoch in range(int(recipe.budget.amount)):
        logits, labels, _ = train_epoch(step, loader, epoch, done=epoch * loader.steps_per_epoch, total=total)
        yield float(loss_and_top1(logits, labels)[0])


@contextmanager
def torchvision_dataset(split: Split) -> Iterator[Any]:
    """The FashionMNIST of torchvision with ToTensor, over a split's images, which are written as the files it reads."""
    from torchvision.datasets import FashionMNIST
    from torchvision.transforms import ToTensor

    with tempfile.TemporaryDirectory() as root:
        raw = Path(root) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for prefix in ("train", "t10k"):  # torchvision asks for all four files
            write_idx(raw / f"{prefix}-images-idx3-ubyte", split.images.squeeze(1).numpy())
            write_idx(raw / f"{prefix}-labels-idx1-ubyte", split.labels.numpy().astype(np.uint8))
        yield FashionMNIST(root, train=True, transform=ToTensor())


def write_idx(path: Path, values: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    """Write unsigned bytes as an idx file (magic number, sizes, values; http://yann.lecun.com/exdb/mnist)."""
    header = np.array([0x0800 + values.ndim, *values.shape], dtype=">i4")
    path.write_bytes(header.tobytes() + values.tobytes())
