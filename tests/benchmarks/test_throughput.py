"""Speeds of a real training on the CPU: what is fed, what is reported, and that measuring leaves training sound."""

import math
from collections.abc import Callable

import pytest
import torch

from benchmarks.measure.clock import MIN_SAMPLES
from benchmarks.measure.throughput import latency, repeated, step_shares, throughput, training_rates
from fmnist_zoo import create_model, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.recipe import Budget, Engine, Optimizer, Recipe
from fmnist_zoo.training.fit import FitResult

CPU = torch.device("cpu")


def trained(dataset: Dataset, *, engine: Engine = "eager", optimizer: Optimizer = "adamw") -> FitResult:
    recipe = Recipe(budget=Budget("epochs", 1), batch_size=100, optimizer=optimizer)
    torch.manual_seed(0)
    return fit(create_model("tutorial_mlp_128_64"), dataset, recipe=recipe, device="cpu", engine=engine)


def test_training_is_measured_over_whole_epochs(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch's order is drawn once an epoch, as in training, and not once for every few steps that are timed."""
    result = trained(small)
    steps: list[int] = []
    draws: list[int] = []
    draw = result.loader._draw
    monkeypatch.setattr(result.loader, "_draw", lambda epoch: draws.append(epoch) or draw(epoch))
    monkeypatch.setattr(result, "step", Counting(result.step, steps))
    found = throughput(result, CPU, limit_s=0.2)
    assert draws.pop() == 0  # the images that inference is measured on
    assert draws == list(range(len(draws)))
    assert 0 <= len(draws) - len(steps) / result.loader.steps_per_epoch <= 1 + 1e-9
    assert found["train_batch_size"] == 100 and len(found["train_samples_img_per_s"]) >= MIN_SAMPLES


@pytest.mark.parametrize(("seconds", "images"), [(0.5, 100), (0.01, 1000)])
def test_a_slow_step_is_timed_alone(seconds: float, images: int, small: Dataset) -> None:
    """Otherwise measuring an emulated number format takes many times as long as training in it."""
    result = trained(small)
    sizes: list[int] = []
    step = Counting(result.step, sizes)

    def timed(work: Callable[[], object]) -> float:
        before = len(sizes)
        work()
        return seconds * (len(sizes) - before)

    training_rates(step, result.loader, timed, limit_s=0.0)  # type: ignore[arg-type]
    first, *others = step.portions
    assert first == 100 and set(others) == {images}


class Counting:
    """Steps that note that they were taken."""

    def __init__(self, step: object, log: list[int]) -> None:
        self._step, self._log = step, log
        self.portions: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._step, name)

    def chunk(self, images: object, labels: object, lrs: list[float]) -> object:
        self._log.extend([1] * len(lrs))
        self.portions.append(len(labels))  # type: ignore[arg-type]
        return self._step.chunk(images, labels, lrs)  # type: ignore[attr-defined]


def test_the_parts_of_a_step_are_a_whole_step(small: Dataset) -> None:
    result, twin = trained(small, optimizer="muon"), trained(small, optimizer="muon")
    images, labels = next(result.loader.batches(0, 1))
    twin.step(images, labels, 1e-3)
    parts = result.step.parts(images, labels, 1e-3)
    assert parts is not None and [name for name, _ in parts] == ["forward", "backward", "optimizer"]
    for _, part in parts:
        part()
    for mine, theirs in zip(result.step.parameters, twin.step.parameters, strict=True):
        assert torch.equal(mine, theirs)


def test_the_shares_of_a_step_are_those_of_the_parts_it_has(small: Dataset) -> None:
    shares = step_shares(trained(small), CPU, num_samples=8)
    assert shares is not None and shares["num_samples"] == 8
    assert all(
        math.isfinite(shares[name]) and shares[name] > 0 for name in ("forward_ms", "backward_ms", "optimizer_ms")
    )


@pytest.mark.slow
def test_a_step_that_is_compiled_as_a_whole_has_no_parts(small: Dataset) -> None:
    result = trained(small, engine="compile")
    assert result.engine == "compile" and step_shares(result, CPU) is None


def test_percentiles_of_latency_are_ordered(small: Dataset) -> None:
    result = trained(small)
    found = latency(result.step.model, small, result, num_samples=20)
    assert list(found) == ["batch_1", "batch_64"]
    for batch in found.values():
        assert 0 < batch["p50_ms"] <= batch["p95_ms"] <= batch["p99_ms"] and batch["num_samples"] == 20


@pytest.mark.parametrize("count", [1, 3, 7])
def test_images_are_repeated_in_their_order(count: int) -> None:
    images = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1)
    assert repeated(images, count).flatten().tolist() == [index % 3 for index in range(count)]
