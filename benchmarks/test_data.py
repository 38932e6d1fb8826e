"""Micro-benchmarks of what comes before a model: gathering batches, augmentation, scaling.

Each waits for the device inside what is timed. Images are those of Fashion-MNIST, on the device, 256 a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from fmnist_zoo.data.loader import CHUNK, TrainLoader
from fmnist_zoo.recipe import Augmentation

if TYPE_CHECKING:
    import torch
    from pytest_benchmark.fixture import BenchmarkFixture

    from fmnist_zoo.data.datasets import Dataset
    from fmnist_zoo.data.loader import PixelScale

AUGMENTATIONS = ("none", "flip", "shift:2", "erase:0.25", "shift:2,flip,erase:0.25")
BATCH_SIZE = 256


@pytest.fixture(params=AUGMENTATIONS)
def loader(request: pytest.FixtureRequest, dataset: Dataset, device: torch.device) -> TrainLoader:
    augmentation = Augmentation.parse(request.param)
    return TrainLoader(dataset.train.to(device), batch_size=BATCH_SIZE, augmentation=augmentation, seed=0)


def test_preparing_a_chunk(benchmark: BenchmarkFixture, loader: TrainLoader, synchronize: Callable[[], None]) -> None:
    """Gather and augment 8,192 images; what is drawn for the epoch is drawn before."""

    def drawn() -> tuple[tuple[object], dict[str, object]]:
        chunks = loader.chunks(0)
        next(chunks)
        synchronize()
        return (chunks,), {}

    def prepare(chunks: object) -> int:
        images, _ = next(chunks)  # type: ignore[call-overload]
        synchronize()
        return len(images)

    assert benchmark.pedantic(prepare, setup=drawn, rounds=50, warmup_rounds=1) == CHUNK


def test_an_epoch_of_batches(benchmark: BenchmarkFixture, loader: TrainLoader, synchronize: Callable[[], None]) -> None:
    """Draw, gather and augment all 60,000 images."""

    def epoch() -> int:
        count = sum(1 for _ in loader.batches(0))
        synchronize()
        return count

    assert benchmark(epoch) == 234


@pytest.mark.parametrize("batch_size", [BATCH_SIZE, CHUNK])
def test_scaling(
    benchmark: BenchmarkFixture,
    dataset: Dataset,
    scale: PixelScale,
    device: torch.device,
    synchronize: Callable[[], None],
    batch_size: int,
) -> None:
    """From pixels to floats."""
    pixels = dataset.train.images[:batch_size].to(device)

    def run() -> torch.Tensor:
        floats = scale(pixels)
        synchronize()
        return floats

    assert benchmark(run).shape == (batch_size, 1, 28, 28)
