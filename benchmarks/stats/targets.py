"""Effort to reach a target, with runs that miss it censored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """Effort of several runs to reach a target.

    Attributes:
        num_hits, num_runs: how many reached it, and of how many.
        median: over all runs, a miss counting as more than any hit; None where half or more of them missed.
        more_than: what is known of the median where it is None: it is above this.
    """

    num_hits: int
    num_runs: int
    median: float | None
    more_than: float | None


def effort(reached: Sequence[float | None], ended: Sequence[float]) -> Effort:
    """The median effort over runs, those that missed censored at their end.

    Runs of one configuration have the same budget, so that a miss is known to be above what it spent and nothing else:
    leaving misses out, or counting them as their end, would flatter the model that misses. The median is that of
    Kaplan & Meier's estimate wherever less than half are missed (E. L. Kaplan & P. Meier, 1958, Nonparametric
    estimation from incomplete observations, JASA 53:457-481), for an even number of runs the mean of the middle two.

    Args:
        reached: what each run had spent when it reached the target; None for a miss.
        ended: what each run had spent at its end.

    Raises:
        ValueError: the lengths differ, or there is no run.
    """
    if len(reached) != len(ended) or not ended:
        raise ValueError(f"{len(reached)} and {len(ended)} values: give both for every run, and at least one run")
    hits = [value for value in reached if value is not None]
    if 2 * len(hits) > len(reached):
        ordered = [*sorted(hits), *[float("inf")] * (len(reached) - len(hits))]
        return Effort(num_hits=len(hits), num_runs=len(reached), median=median(ordered), more_than=None)
    bound = median(end if value is None else value for value, end in zip(reached, ended, strict=True))
    return Effort(num_hits=len(hits), num_runs=len(reached), median=None, more_than=bound)
