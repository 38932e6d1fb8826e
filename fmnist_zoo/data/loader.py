"""Training batches from images on the device: one gather does order, shift and flip at once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fmnist_zoo.data.datasets import Dataset, Split
from fmnist_zoo.recipe import Augmentation, InputScaling

CHUNK = 8192
"""Images prepared at a time: limits an epoch's extra memory and keeps the gather in cache."""


class PixelScale:
    """Maps uint8 pixels to a model's float inputs by a recipe's `input_scaling`."""

    def __init__(self, scaling: InputScaling, *, mean: float, std: float) -> None:
        # x = pixel * gain + offset
        self.gain, self.offset = {
            "unit": (1 / 255, 0.0),
            "symmetric": (2 / 255, -1.0),
            "standardize": (1 / (255 * std), -mean / std),
        }[scaling]

    @classmethod
    def of(cls, scaling: InputScaling, dataset: Dataset) -> PixelScale:
        """The scale for a dataset, with the mean and deviation of its training pixels."""
        return cls(scaling, mean=dataset.mean, std=dataset.std)

    def __call__(self, pixels: UInt8[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 1 28 28"]:
        return pixels.to(torch.float32).mul_(self.gain).add_(self.offset)


class TrainLoader:
    """Shuffled, augmented batches of a split, the same for every model, device and engine with the same seed.

    Order and augmentation are drawn on the CPU from a generator seeded by `(seed, epoch)`, so a training step draws no
    random numbers for its data. Images are prepared on the device in chunks of whole batches, by a single indexing
    operation into a view of all shifted windows. An incomplete last batch is dropped.

    Args:
        split: images `(n, 1, 28, 28)` uint8 and labels `(n,)`, on the training device.
        batch_size: images per batch.
        augmentation: drawn per image and epoch.
        seed: of order and augmentation.

    Raises:
        ValueError: the batch is larger than the split.
    """

    def __init__(self, split: Split, *, batch_size: int, augmentation: Augmentation, seed: int) -> None:
        if batch_size > len(split):
            raise ValueError(
                f"batch_size {batch_size} is larger than the {len(split)} training images; use at most that many"
            )
        self.labels = split.labels
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.steps_per_epoch = len(split) // batch_size
        self._windows = _shifted_windows(split.images, augmentation)
        self._fill = int(split.images.sum(dtype=torch.int64)) // split.images.numel()

    def chunks(
        self, epoch: int, num_steps: int | None = None
    ) -> Iterator[tuple[UInt8[Tensor, "images 1 28 28"], Int64[Tensor, " images"]]]:
        """The first `num_steps` batches of an epoch (all by default; counted from epoch 0), in chunks."""
        steps = self.steps_per_epoch if num_steps is None else min(num_steps, self.steps_per_epoch)
        index = self._draw(epoch)
        chunk = steps_per_chunk(self.batch_size) * self.batch_size
        for start in range(0, steps * self.batch_size, chunk):
            part = slice(start, min(start + chunk, steps * self.batch_size))
            yield self._prepare([column[part] for column in index])

    def batches(
        self, epoch: int, num_steps: int | None = None
    ) -> Iterator[tuple[UInt8[Tensor, "batch 1 28 28"], Int64[Tensor, " batch"]]]:
        """The same, batch by batch."""
        for images, labels in self.chunks(epoch, num_steps):
            yield from zip(images.split(self.batch_size), labels.split(self.batch_size), strict=True)

    def _draw(self, epoch: int) -> list[Tensor]:
        """By position in the epoch: image, mirrored or not, row and column of the window, rectangle to erase."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        count = len(self.labels)
        order = torch.randperm(count, generator=generator)
        spec = self.augmentation
        # Drawn even if unused, so that one kind of augmentation doesn't depend on another.
        flip = torch.randint(2, (count,), generator=generator)
        shift = torch.rand(2, count, generator=generator)
        rectangle = _draw_rectangles(count, spec.erase, generator)
        down, right = (shift * (2 * spec.shift + 1)).long()
        columns = [
            order,
            flip if spec.flip else torch.zeros_like(flip),
            down,
            right,
            *(rectangle if spec.erase else ()),
        ]
        device = self.labels.device
        if device.type == "cuda":  # copying from pinned memory is asynchronous: the host runs ahead of the device
            return [column.pin_memory().to(device, non_blocking=True) for column in columns]
        return [column.to(device) for column in columns]

    def _prepare(self, index: list[Tensor]) -> tuple[Tensor, Tensor]:
        order, flip, down, right, *rectangle = index
        spec = self.augmentation
        images = self._windows[order, flip, down, right] if spec.flip or spec.shift else self._windows[order, 0, 0, 0]
        if rectangle:
            top, bottom, left, end = (edge.view(-1, 1, 1) for edge in rectangle)
            line = torch.arange(28, device=images.device)
            rows, columns = line.view(1, 28, 1), line.view(1, 1, 28)
            erased = ((rows >= top) & (rows < bottom)) & ((columns >= left) & (columns < end))
            images = images.masked_fill(erased, self._fill)
        return images.unsqueeze(1), self.labels[order]


def steps_per_chunk(batch_size: int) -> int:
    """Batches in a chunk of CHUNK images, at least 1."""
    return max(1, CHUNK // batch_size)


def _shifted_windows(
    images: UInt8[Tensor, "n 1 28 28"], spec: Augmentation
) -> UInt8[Tensor, "n mirror down right 28 28"]:
    """View `(n, mirrored, down, right, 28, 28)` of every shifted and mirrored image; only padding takes memory."""
    padded = torch.nn.functional.pad(images, [spec.shift] * 4) if spec.shift else images
    if spec.flip:
        padded = torch.cat([padded, padded.flip(-1)], dim=1)
    return padded.unfold(2, 28, 1).unfold(3, 28, 1)


def _draw_rectangles(
    count: int, probability: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Edges (top, bottom, left, right; in pixels, ends excluded) of the rectangle to erase; empty if none."""
    chance, area, shape, y, x = torch.rand(5, count, generator=generator)
    area = (0.02 + 0.38 * area) * 28 * 28
    aspect = torch.exp((2 * shape - 1) * torch.log(torch.tensor(1 / 0.3)))  # log-uniform from 0.3 to 1 / 0.3
    height = (area * aspect).sqrt().round().clamp(1, 28)
    width = (area / aspect).sqrt().round().clamp(1, 28)
    top = (y * (29 - height)).floor()
    left = (x * (29 - width)).floor()
    height = torch.where(chance < probability, height, torch.zeros_like(height))
    return top.short(), (top + height).short(), left.short(), (left + width).short()
