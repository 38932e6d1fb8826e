"""Speed of a trained model: throughput, latency, and shares of a training step.

Measured after training, in the run's own process, with the step that trained; protocol: see `clock`. Excluded from
training and compile time. Changes the weights, so test first.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.measure.clock import SAMPLE_S, Stopwatch, sample_rates, stopwatch
from benchmarks.records.schema import Latency, StepShares, Throughput
from fmnist_zoo.data.datasets import Dataset
from fmnist_zoo.data.loader import TrainLoader, steps_per_chunk
from fmnist_zoo.evaluation import BATCH_SIZE, Predictor
from fmnist_zoo.training.device import synchronizer
from fmnist_zoo.training.fit import FitResult
from fmnist_zoo.training.step import TrainingStep

TINY = 1e-3
"""Share of the recipe's learning rate in measured steps, so that the weights can't diverge."""
CPU_PORTION = 1024
"""Images between two clock readings on a CPU, where a chunk can take a second; one batch if even that takes long."""
LIMIT_S = 10.0
"""Time limit per latency, or step shares, beyond MIN_SAMPLES."""
MIN_SAMPLES = 9
"""Of latency and of the parts of a step, warm-up included for the latter, however long they take."""


def throughput(result: FitResult, device: torch.device, *, limit_s: float) -> Throughput:
    """Steady-state training (batch preparation included) and inference speed.

    Args:
        result: of the training.
        device: where it ran.
        limit_s: for each of the two.
    """
    batch_size = result.step.recipe.batch_size
    training = training_rates(result.step, result.loader, stopwatch(device), limit_s=limit_s)
    predictor = Predictor(result.step.model, scale=result.scale, precision=result.precision, engine=result.engine)
    images = repeated(next(result.loader.batches(0, 1))[0], BATCH_SIZE)
    inference = inference_rates(predictor, images, stopwatch(device), limit_s=limit_s)
    return {
        "train_img_per_s": statistics.median(training),
        "infer_img_per_s": statistics.median(inference),
        "train_batch_size": batch_size,
        "infer_batch_size": BATCH_SIZE,
        "train_samples_img_per_s": training,
        "infer_samples_img_per_s": inference,
    }


def training_rates(step: TrainingStep, loader: TrainLoader, timed: Stopwatch, *, limit_s: float) -> list[float]:
    """Sampled training throughput on the loader's batches, in images per second."""
    batch_size = step.recipe.batch_size

    def train(images: Tensor, labels: Tensor) -> int:
        step.chunk(images, labels, [step.recipe.lr * TINY] * (len(labels) // batch_size))
        return len(labels)

    steps = max(1, CPU_PORTION // batch_size) if step.device.type == "cpu" else steps_per_chunk(batch_size)
    stream = _portions(loader, steps * batch_size)
    if step.device.type == "cpu":
        images, labels = next(stream)
        if timed(lambda: train(images[:batch_size], labels[:batch_size])) > SAMPLE_S:
            stream = (batch for portion in stream for batch in _split(portion, batch_size))
    return sample_rates(lambda: train(*next(stream)), timed, limit_s=limit_s)


def inference_rates(
    predictor: Callable[[Tensor], Tensor], images: Tensor, timed: Stopwatch, *, limit_s: float
) -> list[float]:
    """Sampled inference throughput on one batch, from pixels on the device to logits, in images per second."""

    def infer() -> int:
        predictor(images)
        return len(images)

    return sample_rates(infer, timed, limit_s=limit_s)


def _portions(loader: TrainLoader, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """One endless stream over whole epochs: drawing an epoch's order costs the same however few batches are used."""
    for epoch in itertools.count():
        for images, labels in loader.chunks(epoch):
            yield from _split((images, labels), size)


def _split(portion: tuple[Tensor, Tensor], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    images, labels = portion
    yield from zip(images.split(size), labels.split(size), strict=True)


def repeated(images: Tensor, count: int) -> Tensor:
    """Images repeated to the given count."""
    return images.repeat(-(-count // len(images)), 1, 1, 1)[:count]


def latency(model: nn.Module, dataset: Dataset, result: FitResult, *, num_samples: int = 200) -> dict[str, Latency]:
    """Milliseconds from pixels on the device to logits, for one batch of 1 and of 64: percentiles over the samples.

    By the host's clock, including synchronization, as for a caller that needs the answer.
    """
    device = next(model.parameters()).device
    synchronize = synchronizer(device)
    predictor = Predictor(model, scale=result.scale, precision=result.precision, engine=result.engine)
    found: dict[str, Latency] = {}
    for batch_size in (1, 64):
        images = dataset.test.images[:batch_size].to(device)
        samples_ms: list[float] = []
        begin = time.perf_counter()
        for index in range(num_samples + 20):
            synchronize()
            started = time.perf_counter()
            if len(samples_ms) >= MIN_SAMPLES and started - begin > LIMIT_S:
                break
            predictor(images)
            synchronize()
            if index >= 20:  # the first are warm-up
                samples_ms.append((time.perf_counter() - started) * 1e3)
        cuts = statistics.quantiles(samples_ms, n=100, method="inclusive")
        found[f"batch_{batch_size}"] = {
            "p50_ms": cuts[49],
            "p95_ms": cuts[94],
            "p99_ms": cuts[98],
            "num_samples": len(samples_ms),
        }
    return found


def step_shares(result: FitResult, device: torch.device, *, num_samples: int = 30) -> StepShares | None:
    """Milliseconds of a training step's forward pass, backward pass and optimizer, medians over steps in turn.

    Synchronized between the parts: on a GPU they add up to more than an uninterrupted step. None if the step is one
    unit (captured, or compiled as a whole).
    """
    batches, timed = result.loader.batches(0, num_samples + 3), stopwatch(device)
    samples: dict[str, list[float]] = {}
    begin = time.perf_counter()
    for index, (images, labels) in enumerate(batches):
        if index >= MIN_SAMPLES and time.perf_counter() - begin > LIMIT_S:
            break
        parts = result.step.parts(images, labels, result.step.recipe.lr * TINY)
        if parts is None:
            return None
        for name, part in parts:
            samples.setdefault(name, []).append(timed(part) * 1e3)
    steady = {name: values[3:] or values for name, values in samples.items()}  # the first are warm-up
    return {
        "forward_ms": statistics.median(steady["forward"]),
        "backward_ms": statistics.median(steady["backward"]),
        "optimizer_ms": statistics.median(steady["optimizer"]),
        "num_samples": len(steady["forward"]),
    }
