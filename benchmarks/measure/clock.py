"""Timing protocol behind every reported rate.

Untimed warm-up, then samples. A sample repeats its work until it is long compared with the clock's cost, and is timed
on the device: between two CUDA events on a GPU, else by a monotonic clock with synchronization. Sampling ends when the
95% interval of the median is narrow, or at a time limit; all samples are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.measure.flags import MEDIAN_WITHIN
from benchmarks.stats.intervals import median_interval
from fmnist_zoo.training.device import synchronizer

Stopwatch = Callable[[Callable[[], object]], float]
"""Seconds a call takes on the device, from the end of all earlier work to the end of its own."""

SAMPLE_S = 0.1
"""Least length of a sample: for `mlp` several times that of drawing an epoch's order, which falls into some samples
only."""
MIN_SAMPLES = 6
"""Fewest samples with a 95% interval of the median (`benchmarks.stats.intervals.median_interval`)."""
MAX_SAMPLES = 100
OVERTIME_S = 4.0
"""Extra time beyond the limit, after which no sample starts, however few there are."""


def stopwatch(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> Stopwatch:
    """The stopwatch of a device.

    Args:
        device: does the work, on its current stream.
        clock: seconds, monotonic; not used on CUDA.
    """
    return _timed_by_events(device) if device.type == "cuda" else timed_by_clock(synchronizer(device), clock)


def timed_by_clock(synchronize: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> Stopwatch:
    """A stopwatch that synchronizes with the device at both ends."""

    def seconds(work: Callable[[], object]) -> float:
        synchronize()
        started = clock()
        work()
        synchronize()
        return clock() - started

    return seconds


def _timed_by_events(device: torch.device) -> Stopwatch:
    """A stopwatch by GPU events: excludes the host's delay in noticing the end."""

    def seconds(work: Callable[[], object]) -> float:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.device(device):
            torch.cuda.synchronize(device)
            begin.record()
            work()
            end.record()
        end.synchronize()
        return begin.elapsed_time(end) / 1e3

    return seconds


def sample_rates(
    work: Callable[[], float],
    timed: Stopwatch,
    *,
    limit_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Units per second, sampled until the median is known to within 2% or the time is up.

    Args:
        work: does a portion and returns its units (images, FLOPs, bytes). Calls within a sample are queued without
            waiting.
        timed: the device's stopwatch.
        limit_s: no sample starts later, given MIN_SAMPLES; none at all OVERTIME_S later.
        clock: seconds, monotonic, for the limit.

    Returns:
        The rate of each sample, in order; `is_narrow` tells whether they suffice.
    """
    work()
    calls, rates, units = 1, list[float](), 0.0

    def several() -> None:
        nonlocal units
        units = sum(work() for _ in range(calls))

    begin = clock()
    while len(rates) < MAX_SAMPLES:
        spent_s = clock() - begin
        if len(rates) >= MIN_SAMPLES and (is_narrow(rates) or spent_s >= limit_s):
            break
        if rates and spent_s >= limit_s + OVERTIME_S:
            break
        seconds = timed(several)
        if seconds >= SAMPLE_S:
            rates.append(units / seconds)
        else:  # too short to count; the next sample has more calls
            calls *= 2
    return rates


def is_narrow(samples: list[float]) -> bool:
    """Whether the 95% interval of the samples' median lies within 2% of it."""
    interval, middle = median_interval(samples), median(samples)
    return interval is not None and max(middle - interval[0], interval[1] - middle) <= MEDIAN_WITHIN * middle
