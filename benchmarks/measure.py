"""What is measured after training, in the run's own process: throughput, latency, peak memory.

Protocol: untimed warm-up, then samples between waits for the device with a monotonic clock; raw samples are kept, the
median is reported. Throughput counts batch preparation. Nothing here is inside the training or compile time.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.memory import forget_peak, peak_resident_mib
from fmnist_zoo.data.datasets import Dataset
from fmnist_zoo.data.loader import steps_per_chunk
from fmnist_zoo.evaluation import BATCH_SIZE, Predictor
from fmnist_zoo.training.device import synchronizer
from fmnist_zoo.training.fit import FitResult

SAMPLE_S = 0.1
"""A sample repeats its work until it takes at least this long."""
MIN_SAMPLES, MAX_SAMPLES, LIMIT_S = 5, 30, 1.0


def sample_rates(
    work: Callable[[], int],
    synchronize: Callable[[], None],
    *,
    clock: Callable[[], float] = time.perf_counter,
    limit_s: float = LIMIT_S,
) -> list[float]:
    """Images per second of some work, sampled: one untimed call, then samples of at least SAMPLE_S.

    Args:
        work: does a portion and returns how many images that was.
        synchronize: waits for the device.
        clock: seconds, monotonic.
        limit_s: no new sample begins after this time, once there are MIN_SAMPLES.
    """
    work()
    synchronize()
    rates: list[float] = []
    begin = clock()
    while len(rates) < MIN_SAMPLES or (len(rates) < MAX_SAMPLES and clock() - begin < limit_s):
        images, started = 0, clock()
        while True:
            images += work()
            synchronize()
            elapsed = clock() - started
            if elapsed >= SAMPLE_S:
                break
        rates.append(images / elapsed)
    return rates


def throughput(result: FitResult, device: torch.device) -> dict[str, Any]:
    """Steady-state training and inference speed of the very step that trained; the weights move on, so test first."""
    step, loader, recipe = result.step, result.loader, result.step.recipe
    # One endless stream over whole epochs: drawing an epoch's order costs the same however few of its batches are used.
    # On a CPU a whole chunk can take a second; on a GPU less would measure the wait for it.
    steps = max(1, 2048 // recipe.batch_size) if device.type == "cpu" else steps_per_chunk(recipe.batch_size)
    portion = steps * recipe.batch_size
    stream = (
        part
        for epoch in itertools.count()
        for images, labels in loader.chunks(epoch)
        for part in zip(images.split(portion), labels.split(portion), strict=True)
    )

    def train() -> int:
        images, labels = next(stream)
        step.chunk(images, labels, [recipe.lr * 1e-3] * (len(labels) // recipe.batch_size))
        return len(labels)

    training = sample_rates(train, synchronizer(device))
    predictor = Predictor(step.model, scale=result.scale, precision=result.precision, engine=result.engine)
    images = next(loader.batches(0, 1))[0]
    images = images.repeat(-(-BATCH_SIZE // len(images)), 1, 1, 1)[:BATCH_SIZE]

    def infer() -> int:
        predictor(images)
        return len(images)

    inference = sample_rates(infer, synchronizer(device))
    return {
        "train_img_per_s": statistics.median(training),
        "infer_img_per_s": statistics.median(inference),
        "train_batch_size": recipe.batch_size,
        "infer_batch_size": BATCH_SIZE,
        "train_samples_img_per_s": training,
        "infer_samples_img_per_s": inference,
    }


def latency(model: nn.Module, dataset: Dataset, result: FitResult, *, num_samples: int = 200) -> dict[str, Any]:
    """Milliseconds from pixels on the device to logits, for one batch of 1 and of 64: percentiles over the samples."""
    device = next(model.parameters()).device
    synchronize = synchronizer(device)
    predictor = Predictor(model, scale=result.scale, precision=result.precision, engine=result.engine)
    found = {}
    for batch_size in (1, 64):
        images = dataset.test.images[:batch_size].to(device)
        samples_ms = []
        for index in range(num_samples + 20):
            synchronize()
            started = time.perf_counter()
            predictor(images)
            synchronize()
            if index >= 20:  # the first are warm-up
                samples_ms.append((time.perf_counter() - started) * 1e3)
        cuts = statistics.quantiles(samples_ms, n=100, method="inclusive")
        found[f"batch_{batch_size}"] = {
            "p50_ms": cuts[49],
            "p95_ms": cuts[94],
            "p99_ms": cuts[98],
            "num_samples": num_samples,
        }
    return found


def forget_peaks(device: torch.device) -> None:
    """Count peak memory anew from here: what a probe or an earlier seed needed isn't this training's."""
    gc.collect()  # captured steps are in reference cycles
    forget_peak()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def memory(device: torch.device) -> dict[str, Any]:
    """Peak memory since `forget_peaks`: what torch allocated on a CUDA device, else this process's resident set."""
    if device.type == "cuda":
        return {
            "peak_mem_mib": torch.cuda.max_memory_allocated(device) / 2**20,
            "baseline_mem_mib": None,
            "peak_reserved_mib": torch.cuda.max_memory_reserved(device) / 2**20,
            "kind": "allocated on the GPU by torch",
        }
    return {
        "peak_mem_mib": peak_resident_mib(),
        "baseline_mem_mib": None,
        "peak_reserved_mib": None,
        "kind": "resident set of the worker process",
    }
