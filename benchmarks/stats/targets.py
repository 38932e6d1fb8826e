"""Effort to reach a target, with runs that miss it censored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """Effort of several runs to reach a target.

    Attributes:
        num_hits, num_runs: runs that reached it, and all runs.
        median: over all runs, a miss counting as more than any hit; None if half or more missed.
        more_than: lower bound of the median if that is None.
    """

    num_hits: int
    num_runs: int
    median: float | None
    more_than: float | None


def effort(reached: Sequence[float | None], ended: Sequence[float]) -> Effort:
    """Median effort over runs, with misses censored at their end.

    Runs of one configuration have the same budget, so a miss is only known to need more than it spent: leaving misses
    out, or counting them as their end, would favor the model that misses. The median is that of Kaplan & Meier's
    estimate if less than half are misses (E. L. Kaplan & P. Meier, 1958, Nonparametric estimation from incomplete
    observations, JASA 53:457-481), for an even number of runs the mean of the middle two.

    Args:
        reached: effort of each run to reach the target; None for a miss.
        ended: total effort of each run.

    Raises:
        ValueError: different lengths, or no runs.
    """
    if len(reached) != len(ended) or not ended:
        raise ValueError(f"{len(reached)} and {len(ended)} values: give both for every run, and at least one run")
    hits = [value for value in reached if value is not None]
    if 2 * len(hits) > len(reached):
        ordered = [*sorted(hits), *[float("inf")] * (len(reached) - len(hits))]
        return Effort(num_hits=len(hits), num_runs=len(reached), median=median(ordered), more_than=None)
    bound = median(end if value is None else value for value, end in zip(reached, ended, strict=True))
    return Effort(num_hits=len(hits), num_runs=len(reached), median=None, more_than=bound)
