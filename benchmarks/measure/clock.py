"""How long work takes on a device, and how often it is timed: the protocol behind every rate that is reported.

Untimed warm-up, then samples. A sample repeats its work until it is long beside the clock's own cost, and is timed on
the device: between two CUDA events on a GPU, else on a monotonic clock between waits for the device. There are as
many samples as it takes for the 95% interval of their median to be narrow, or as a time limit allows; all of them are
kept.
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
"""Seconds that a call takes on the device, from the moment when all earlier work is done until all of its own is."""

SAMPLE_S = 0.1
"""A sample repeats its work until it takes at least this long: of `mlp`, several times as long as drawing an epoch's
order, which falls into one sample and not into the next."""
MIN_SAMPLES = 6
"""Fewer have no 95% interval of the median (`benchmarks.stats.intervals.median_interval`)."""
MAX_SAMPLES = 100
OVERTIME_S = 4.0
"""Beyond the limit, after which no sample begins, however few there are: measuring what is very slow must end, too."""


def stopwatch(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> Stopwatch:
    """The stopwatch of a device.

    Args:
        device: that does the work, on its current stream.
        clock: seconds, monotonic; not used on CUDA.
    """
    return _timed_by_events(device) if device.type == "cuda" else timed_by_clock(synchronizer(device), clock)


def timed_by_clock(synchronize: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> Stopwatch:
    """A stopwatch that waits for the device at both ends."""

    def seconds(work: Callable[[], object]) -> float:
        synchronize()
        started = clock()
        work()
        synchronize()
        return clock() - started

    return seconds


def _timed_by_events(device: torch.device) -> Stopwatch:
    """Events are taken by the GPU itself: what the host needs to notice that the work is done isn't counted."""

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
    """Units a second of some work, sampled until the median is known to within 2%, or the time is up.

    Args:
        work: does a portion, and returns how many units (images, FLOPs, bytes) that was. Calls within a sample are
            queued without waiting between them.
        timed: the device's stopwatch.
        limit_s: no sample begins after so many seconds once there are MIN_SAMPLES, and OVERTIME_S later none at all.
        clock: seconds, monotonic, for the limit.

    Returns:
        A rate for each sample, in their order; see `is_narrow` for whether they are enough.
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
        else:  # too short to count; the next ones have more calls
            calls *= 2
    return rates


def is_narrow(samples: list[float]) -> bool:
    """Whether the 95% interval of the samples' median lies within 2% of it."""
    interval, middle = median_interval(samples), median(samples)
    return interval is not None and max(middle - interval[0], interval[1] - middle) <= MEDIAN_WITHIN * middle
