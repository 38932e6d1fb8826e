"""Intervals for what was measured, at the 95% level unless said otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from scipy import stats


def mean_t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Student's t interval for the mean of independent values, such as one per seed.

    Raises:
        ValueError: fewer than two values: their spread is unknown, not zero.
    """
    if len(values) < 2:
        raise ValueError(
            f"a t interval needs 2 or more values, not {len(values)}; use wilson_interval for a single run"
        )
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def wilson_interval(successes: int, trials: int, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a binomial proportion: accuracy on test images, as a share between 0 and 1.

    E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference, JASA 22:209-212.

    Raises:
        ValueError: not 0 <= successes <= trials, or no trial.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"successes={successes}, trials={trials}: give 0 <= successes <= trials and 1 trial or more")
    interval = stats.binomtest(successes, trials).proportion_ci(confidence_level=level, method="wilson")
    return float(interval.low), float(interval.high)
