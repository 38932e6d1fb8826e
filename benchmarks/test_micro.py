"""Micro-benchmarks with pytest-benchmark: `tox -e bench`, then `-- --benchmark-save=NAME` and `--benchmark-compare`.

Each waits for the device inside what is timed. They run on the CPU, or on CUDA where there is a device.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from fmnist_zoo.data.datasets import Dataset, load_dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import Predictor
from fmnist_zoo.recipe import Augmentation, Engine, Recipe
from fmnist_zoo.registry import FAMILIES, create_model
from fmnist_zoo.training.device import resolve_device, synchronizer
from fmnist_zoo.training.fit import place
from fmnist_zoo.training.step import TrainingStep

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

DEVICE = resolve_device("auto")
SYNCHRONIZE = synchronizer(DEVICE)
ENGINES: tuple[Engine, ...] = ("eager", "compile", "graph") if DEVICE.type == "cuda" else ("eager", "compile")
AUGMENTATIONS = ("none", "flip", "shift:2", "erase:0.25", "shift:2,flip,erase:0.25")


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_dataset("fashion_mnist")


@pytest.fixture(scope="module")
def scale(dataset: Dataset) -> PixelScale:
    return PixelScale.of("standardize", dataset)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_an_epoch_of_batches(benchmark: BenchmarkFixture, dataset: Dataset, augmentation: str) -> None:
    split = dataset.train.to(DEVICE)
    loader = TrainLoader(split, batch_size=256, augmentation=Augmentation.parse(augmentation), seed=0)

    def epoch() -> int:
        count = sum(1 for _ in loader.batches(0))
        SYNCHRONIZE()
        return count

    assert benchmark(epoch) == 234


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_step(
    benchmark: BenchmarkFixture, dataset: Dataset, scale: PixelScale, family: str, engine: Engine
) -> None:
    loader = TrainLoader(dataset.train.to(DEVICE), batch_size=256, augmentation=Augmentation(), seed=0)
    step = TrainingStep(
        place(create_model(family), DEVICE),
        Recipe(),
        scale=scale,
        precision="fp32",
        engine=engine,
    )
    step.warm_up(loader.batches(0, 3))
    images, labels = next(loader.batches(0, 1))

    def run() -> torch.Tensor:
        logits = step(images, labels, 1e-4)
        SYNCHRONIZE()
        return logits

    assert benchmark(run).shape == (256, 10)


@pytest.mark.parametrize("family", FAMILIES)
def test_evaluating_the_test_split(
    benchmark: BenchmarkFixture, dataset: Dataset, scale: PixelScale, family: str
) -> None:
    predictor = Predictor(place(create_model(family), DEVICE), scale=scale)
    images = dataset.test.images.to(DEVICE)

    def run() -> torch.Tensor:
        logits = predictor.logits(images)
        SYNCHRONIZE()
        return logits

    assert benchmark(run).shape == (10_000, 10)
