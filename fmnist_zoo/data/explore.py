"""A dataset's counts, pixel statistics, checksums, and near-duplicates between its splits."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from fmnist_zoo.data.catalog import NUM_CLASSES, find_spec
from fmnist_zoo.data.datasets import Dataset
from fmnist_zoo.data.splits import Split

_TEST_CHUNK, _TRAIN_CHUNK = 500, 20_000
"""Images compared at a time: 40 MB of distances."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSummary:
    """A split in numbers; mean and (population) deviation are of pixels scaled to [0, 1]."""

    num_images: int
    class_counts: tuple[int, ...]
    image_shape: tuple[int, ...]
    least_pixel: int
    greatest_pixel: int
    mean: float
    std: float
    background_share: float
    """Share of pixels equal to 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FileChecksum:
    """A file and its decompressed MD5; `expected` is None if not published."""

    name: str
    md5: str
    expected: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NearPair:
    """Indices of a test image and its nearest training image, and their RMS difference in grey values."""

    test_index: int
    train_index: int
    rms_difference: float


def summarize(split: Split) -> SplitSummary:
    """Count the images, classes and pixel values of a split."""
    images = split.images.cpu().numpy()
    counts = sum(np.bincount(chunk.ravel(), minlength=256) for chunk in np.array_split(images, 60))
    assert isinstance(counts, ndarray)
    values = np.arange(256) / 255
    mean = float(counts @ values) / images.size
    variance = float(counts @ (values - mean) ** 2) / images.size
    seen = np.flatnonzero(counts)
    return SplitSummary(
        num_images=len(split),
        class_counts=tuple(torch.bincount(split.labels, minlength=NUM_CLASSES).tolist()),
        image_shape=tuple(images.shape[1:]),
        least_pixel=int(seen[0]),
        greatest_pixel=int(seen[-1]),
        mean=mean,
        std=math.sqrt(variance),
        background_share=int(counts[0]) / images.size,
    )


def file_checksums(dataset: Dataset) -> list[FileChecksum]:
    """MD5s of the four idx files, computed from the images and labels in memory."""
    arrays = [
        values
        for split in (dataset.train, dataset.test)
        for values in (split.images.squeeze(1).cpu().numpy(), split.labels.cpu().numpy().astype(np.uint8))
    ]
    return [
        FileChecksum(name=file.name, md5=_idx_md5(values), expected=file.md5)
        for file, values in zip(find_spec(dataset.name).files, arrays, strict=True)
    ]


def near_duplicates(dataset: Dataset, limit: float) -> list[NearPair]:
    """Test images with a training image within the limit, each with its nearest one; closest pair first.

    Every test image is compared with every training image. Squared distances are |a|^2 + |b|^2 - 2ab, so all are one
    matrix product (0.94 TFLOP for 10,000 by 60,000 images; 12 s on one core of an EPYC). In fp32 that is off by a
    few units of the squared distance, some thousandths of a grey value near useful limits; pairs are selected and
    reported by their exact distance.

    Args:
        dataset: on the CPU.
        limit: largest RMS difference of two images' pixels, in grey values.

    Raises:
        ValueError: the limit is negative or NaN.
    """
    if not limit >= 0:
        raise ValueError(f"near={limit} must be at least 0: it is a difference in grey values")
    train, test = dataset.train.images.flatten(1), dataset.test.images.flatten(1)
    nearest = torch.cat([_nearest(chunk.float(), train) for chunk in test.split(_TEST_CHUNK)])
    exact = (test.int() - train[nearest].int()).square_().sum(1).double().div_(test.shape[1]).sqrt_()
    pairs = [
        NearPair(test_index=place, train_index=int(nearest[place]), rms_difference=float(exact[place]))
        for place in torch.nonzero(exact <= limit).flatten().tolist()
    ]
    return sorted(pairs, key=lambda pair: (pair.rms_difference, pair.test_index))


def sample_indices(split: Split, *, per_class: int) -> Int64[Tensor, " k"]:
    """Indices of the first images of each class, by class."""
    return torch.cat([torch.nonzero(split.labels == label).flatten()[:per_class] for label in range(NUM_CLASSES)])


def _nearest(images: Float[Tensor, "k pixels"], others: UInt8[Tensor, "n pixels"]) -> Int64[Tensor, " k"]:
    """Index of the nearest other image for each."""
    best = torch.full((len(images),), math.inf)
    where = torch.zeros(len(images), dtype=torch.int64)
    for start, chunk in _chunks(others):
        # An image's own norm is the same for all others: omitted.
        distance, index = torch.addmm(chunk.square().sum(1), images, chunk.T, alpha=-2.0).min(1)
        is_nearer = distance < best
        best = torch.where(is_nearer, distance, best)
        where = torch.where(is_nearer, index + start, where)
    return where


def _chunks(images: UInt8[Tensor, "n pixels"]) -> Iterator[tuple[int, Float[Tensor, "k pixels"]]]:
    for start in range(0, len(images), _TRAIN_CHUNK):
        yield start, images[start : start + _TRAIN_CHUNK].float()


def _idx_md5(values: UInt8[ndarray, "n *rest"]) -> str:
    """MD5 of the idx file with these values; format: `fmnist_zoo.data.idx`."""
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return hashlib.md5(header + values.tobytes(), usedforsecurity=False).hexdigest()
