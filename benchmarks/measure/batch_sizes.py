"""Throughput over batch sizes: powers of two up to what fits, and the knee, beyond which larger batches hardly pay."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import psutil
import torch
from torch import nn

from benchmarks.measure.clock import stopwatch
from benchmarks.measure.memory import is_out_of_memory, memory, reset_peak_memory
from benchmarks.measure.throughput import inference_rates, repeated, training_rates
from benchmarks.records.schema import BatchPoint, BatchSweep
from fmnist_zoo.data.datasets import Split
from fmnist_zoo.data.loader import TrainLoader
from fmnist_zoo.evaluation import Predictor
from fmnist_zoo.training.fit import FitResult
from fmnist_zoo.training.modules import copied
from fmnist_zoo.training.step import TrainingStep

SMALLEST_TRAIN, SMALLEST_INFER, LARGEST = 8, 1, 32_768
KNEE = 0.9
"""Share of the highest rate at the knee."""
LIMIT_S = 0.5
"""Time limit per batch size."""
SLOWEST_S = 2.0
"""Stop trying larger batches once one takes longer than this."""
LARGEST_SHARE = 0.7
"""Share of free memory that a larger batch may take, extrapolated, on a CPU, where running out of memory kills the
process instead of raising an error."""


def batch_sweep(result: FitResult, split: Split, device: torch.device) -> BatchSweep:
    """Training and inference throughput by batch size, in the run's precision and engine, on copies of its model.

    Args:
        result: of the run's training.
        split: training images, on the device.
        device: where it ran.
    """
    train_sizes, infer_sizes = sizes(SMALLEST_TRAIN, len(split)), sizes(SMALLEST_INFER, LARGEST)
    train = list(_sweep(train_sizes, lambda size: _train_rates(result, split, size, device), device))
    infer = list(_sweep(infer_sizes, lambda size: _infer_rates(result, split, size, device), device))
    return {"train": train, "infer": infer, "train_knee": knee(train), "infer_knee": knee(infer)}


def knee(points: list[BatchPoint]) -> int | None:
    """Smallest batch size with 90% of the highest rate; None if nothing was measured."""
    rates = {point["batch_size"]: point["img_per_s"] for point in points if point["img_per_s"] is not None}
    return min((size for size, rate in rates.items() if rate >= KNEE * max(rates.values())), default=None)


def sizes(least: int, most: int) -> list[int]:
    """Batch sizes to try: powers of two within bounds, up to LARGEST."""
    return [size for size in (2**power for power in range(32)) if least <= size <= min(most, LARGEST)]


def _sweep(
    batch_sizes: Sequence[int], rates: Callable[[int], list[float]], device: torch.device
) -> Iterator[BatchPoint]:
    """One point per size, until one doesn't fit or takes too long; the last says why it is the last."""
    needed_mib = 0.0
    for size in batch_sizes:
        if device.type != "cuda" and 2 * needed_mib > LARGEST_SHARE * psutil.virtual_memory().available / 2**20:
            yield _point(size, [], f"not tried: batch size {size // 2} took {needed_mib:,.0f} MiB")
            return
        reset_peak_memory(device)
        before_mib = memory(device)["peak_mem_mib"] or 0.0
        try:
            found = rates(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            yield _point(size, [], f"out of memory: {' '.join(str(error).split())[:120]}")
            return
        needed_mib = (memory(device)["peak_mem_mib"] or 0.0) - before_mib
        seconds = size / statistics.median(found)
        is_last = seconds > SLOWEST_S
        yield _point(size, found, f"larger sizes not tried: a batch takes {seconds:.1f} s" if is_last else None)
        if is_last:
            return


def _point(size: int, rates: list[float], note: str | None) -> BatchPoint:
    return {
        "batch_size": size,
        "img_per_s": statistics.median(rates) if rates else None,
        "samples_img_per_s": rates,
        "note": note,
    }


def _train_rates(result: FitResult, split: Split, size: int, device: torch.device) -> list[float]:
    recipe = replace(result.step.recipe, batch_size=size)
    loader = TrainLoader(split, batch_size=size, augmentation=recipe.augmentation, seed=result.loader.seed)
    step = TrainingStep(
        copied(result.step.model), recipe, scale=result.scale, precision=result.precision, engine=result.engine
    )
    step.warm_up(loader.chunks(0, 2))
    return training_rates(step, loader, stopwatch(device), limit_s=LIMIT_S)


def _infer_rates(result: FitResult, split: Split, size: int, device: torch.device) -> list[float]:
    model: nn.Module = result.step.model
    predictor = Predictor(model, scale=result.scale, precision=result.precision, engine=result.engine)
    return inference_rates(predictor, repeated(split.images, size), stopwatch(device), limit_s=LIMIT_S)
