"""Micro-benchmarks of the five families in every engine that the device has, in fp32.

Each waits for the device inside what is timed. Compiling and capturing are over before anything is timed, and a variant
that had to fall back from its engine fails: it would stand under a name that isn't its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch

from fmnist_zoo.data.loader import TrainLoader
from fmnist_zoo.evaluation import BATCH_SIZE, Predictor, loss_and_top1, scores
from fmnist_zoo.recipe import Augmentation, Engine, Recipe
from fmnist_zoo.registry import FAMILIES, create_model
from fmnist_zoo.training.fit import to_device
from fmnist_zoo.training.step import TrainingStep

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

    from fmnist_zoo.data.datasets import Dataset
    from fmnist_zoo.data.loader import PixelScale

ENGINES: tuple[Engine, ...] = ("eager", "compile", "graph") if torch.cuda.is_available() else ("eager", "compile")


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest, device: torch.device) -> torch.nn.Module:
    torch.manual_seed(0)
    return to_device(create_model(request.param), device)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture
def predictor(model: torch.nn.Module, scale: PixelScale, engine: Engine) -> Predictor:
    return Predictor(model, scale=scale, engine=engine)


def test_a_forward_pass(
    benchmark: BenchmarkFixture, dataset: Dataset, predictor: Predictor, synchronize: Callable[[], None]
) -> None:
    """Inference on the pixels of one batch of evaluation."""
    images = dataset.test.images[:BATCH_SIZE].to(predictor.device)

    def run() -> torch.Tensor:
        logits = predictor(images)
        synchronize()
        return logits

    run()
    assert benchmark(run).shape == (BATCH_SIZE, 10)


def test_a_training_step(
    benchmark: BenchmarkFixture,
    dataset: Dataset,
    scale: PixelScale,
    model: torch.nn.Module,
    engine: Engine,
    synchronize: Callable[[], None],
) -> None:
    """Forward, backward and AdamW on a batch of 256 images that is there already."""
    recipe = Recipe()
    step = TrainingStep(model, recipe, scale=scale, precision="fp32", engine=engine)
    split = dataset.train.to(step.device)
    loader = TrainLoader(split, batch_size=recipe.batch_size, augmentation=Augmentation(), seed=0)
    step.warm_up(loader.batches(0, 3))
    assert step.engine == engine, step.fallback
    images, labels = next(loader.batches(0, 1))

    def run() -> torch.Tensor:
        logits = step(images, labels, 1e-6)
        synchronize()
        return logits

    assert benchmark(run).shape == (recipe.batch_size, 10)


def test_evaluating_the_test_split(
    benchmark: BenchmarkFixture, dataset: Dataset, predictor: Predictor, synchronize: Callable[[], None]
) -> None:
    """Logits, loss and accuracy of 10,000 images, as after each epoch of a training."""
    split = dataset.test.to(predictor.device)

    def run() -> torch.Tensor:
        found = loss_and_top1(predictor.logits(split.images), split.labels)
        synchronize()
        return found

    predictor(split.images[:BATCH_SIZE])
    assert benchmark(run).shape == (2,)


def test_scoring_the_test_split(benchmark: BenchmarkFixture, dataset: Dataset, device: torch.device) -> None:
    """All scores of 10,000 images from their logits, as at the end of a run; they are read back, which is a wait."""
    split = dataset.test.to(device)
    logits = torch.nn.functional.one_hot(split.labels.roll(1), 10).float()
    assert benchmark(scores, logits, split.labels)["confusion_matrix"]
