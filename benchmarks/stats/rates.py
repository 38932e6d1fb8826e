"""Rate over several runs, and prediction of one more run.

The logarithm of a run's rate is modelled as that of its arm, plus the drift of its process, plus that of the run: both
normal and independent, since a machine's state changes between processes and between runs of one. So runs of one
process aren't independent, and one more run is assumed to have its own process. Intervals are Student's t, exact if
`PROCESS_VARIANCE` is true; the deviation between runs is at least their sampling error.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from scipy import special

from benchmarks.stats.intervals import median_interval

PROCESS_VARIANCE = 1.5
"""Variance between processes, in units of that between runs of one. Analysis of variance of the committed
records, arms of several processes, gives 0.9 for training and 1.5 for inference. One arm has too few processes to
estimate it."""
_NORMAL_95 = 1.96
_LARGEST_LOG = math.log(1e300)

Processes = Sequence[Sequence[float]]
"""Logarithms of the rates of runs, grouped by process."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Standard deviation of logarithms between runs of one process, with its degrees of freedom."""

    amount: float
    freedom: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Geometric mean of runs, its 95% interval, and the 95% prediction interval of one more run.

    `low` and `high` are None for a single run, `next_low` and `next_high` without a known deviation.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    next_low: float | None = None
    next_high: float | None = None


def spread_pct(samples: Sequence[float]) -> float | None:
    """Sampling error of one run, unrelated to other runs, in percent; None without an interval.

    Distance of the median's 95% interval from the median.
    """
    found = median_interval(samples)
    if found is None:
        return None
    middle = median(samples)
    return 100 * max(middle - found[0], found[1] - middle) / middle


def deviation(processes: Processes, *, spreads_pct: Sequence[float] = ()) -> Deviation | None:
    """Deviation between runs of one arm; None for fewer than two.

    Args:
        processes: of all of its runs.
        spreads_pct: their sampling errors.
    """
    runs = sum(map(len, processes))
    if runs < 2:
        return None
    mean, _ = _mean(processes)
    within = sum((value - fmean(process)) ** 2 for process in processes for value in process)
    between = sum(_weight(process) * (fmean(process) - mean) ** 2 for process in processes)
    sampled = math.log1p(median(spreads_pct or [0.0]) / 100) / _NORMAL_95
    return Deviation(max(math.sqrt((within + between) / (runs - 1)), sampled), runs - 1)


def rate(processes: Processes, known: Deviation | None) -> Rate:
    """Rate of runs, with its intervals.

    Args:
        processes: of the runs; at least one.
        known: deviation of runs of their arm, these or more.
    """
    mean, variance = _mean(processes)
    if known is None:
        return Rate(math.exp(mean))
    reach = known.amount * float(special.stdtrit(known.freedom, 0.975))
    of_mean = _around(mean, reach * math.sqrt(variance)) if sum(map(len, processes)) > 1 else (None, None)
    return Rate(math.exp(mean), *of_mean, *_around(mean, reach * math.sqrt(1 + PROCESS_VARIANCE + variance)))


def _mean(processes: Processes) -> tuple[float, float]:
    """Generalised least squares mean, and its variance in units of that between runs of a process."""
    weights = [_weight(process) for process in processes]
    total = sum(weights)
    return sum(weight * fmean(process) for weight, process in zip(weights, processes, strict=True)) / total, 1 / total


def _weight(process: Sequence[float]) -> float:
    return 1 / (PROCESS_VARIANCE + 1 / len(process))


def _around(mean: float, half: float) -> tuple[float, float]:
    return math.exp(max(mean - half, -_LARGEST_LOG)), math.exp(min(mean + half, _LARGEST_LOG))
