"""How fast something is over several runs, and how fast one more run may be.

The logarithm of a run's rate is modelled as that of its arm, plus the drift of the process that it ran in, plus that of
the run itself: both normal and independent, since a machine's state changes between processes and between the runs of
one. So runs of one process aren't independent, and one more run is taken to be in a process of its own. Student's t,
which is exact where `PROCESS_VARIANCE` is true; runs that happen to lie nearer to each other than each was sampled
count as no nearer than that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

from scipy import special

from benchmarks.stats.intervals import median_interval

PROCESS_VARIANCE = 1.5
"""The variance between processes, in units of that between the runs of one. Analysis of variance of the committed
records, arms of several processes, gives 0.9 for training and 1.5 for inference. It can't be estimated from the few
processes that one arm has."""
_NORMAL_95 = 1.96
_LARGEST_LOG = math.log(1e300)

Processes = Sequence[Sequence[float]]
"""Logarithms of the rates of runs, those of each process together."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far runs of one process lie apart, as the standard deviation of logarithms, and its degrees of freedom."""

    amount: float
    freedom: int


@dataclass(frozen=True, slots=True)
class Rate:
    """The geometric mean of runs, its 95% interval, and the 95% prediction interval of one more run.

    `low` and `high` are None for a single run, `next_low` and `next_high` where nothing is known of other runs.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    next_low: float | None = None
    next_high: float | None = None


def spread_pct(samples: Sequence[float]) -> float | None:
    """How finely one run was sampled, which says nothing of another, in percent; None where there is no interval.

    How far the 95% interval of the samples' median reaches from it.
    """
    found = median_interval(samples)
    if found is None:
        return None
    middle = median(samples)
    return 100 * max(middle - found[0], found[1] - middle) / middle


def deviation(processes: Processes, *, spreads_pct: Sequence[float] = ()) -> Deviation | None:
    """How far runs of one arm lie apart; None where there are fewer than two.

    Args:
        processes: of all of its runs.
        spreads_pct: how finely they were sampled.
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
    """The rate of runs, with its intervals.

    Args:
        processes: of the runs; at least one.
        known: how far runs of their arm lie apart, these or more of them.
    """
    mean, variance = _mean(processes)
    if known is None:
        return Rate(math.exp(mean))
    reach = known.amount * float(special.stdtrit(known.freedom, 0.975))
    of_mean = _around(mean, reach * math.sqrt(variance)) if sum(map(len, processes)) > 1 else (None, None)
    return Rate(math.exp(mean), *of_mean, *_around(mean, reach * math.sqrt(1 + PROCESS_VARIANCE + variance)))


def _mean(processes: Processes) -> tuple[float, float]:
    """The generalised least squares mean, and its variance in units of that between the runs of a process."""
    weights = [_weight(process) for process in processes]
    total = sum(weights)
    return sum(weight * fmean(process) for weight, process in zip(weights, processes, strict=True)) / total, 1 / total


def _weight(process: Sequence[float]) -> float:
    return 1 / (PROCESS_VARIANCE + 1 / len(process))


def _around(mean: float, half: float) -> tuple[float, float]:
    return math.exp(max(mean - half, -_LARGEST_LOG)), math.exp(min(mean + half, _LARGEST_LOG))
