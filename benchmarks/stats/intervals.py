"""Intervals for measurements, at the 95% level by default."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from scipy import stats


def mean_t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float]:
    """Student's t interval for the mean of independent values, such as one per seed.

    Raises:
        ValueError: fewer than two values: spread is unknown, not zero.
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


def median_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """Distribution-free interval for the median of independent values: two order statistics, by sign test.

    Has at least this level for any continuous distribution; None with too few values to reach it (fewer than 6 at 95%).
    David & Nagaraja (2003), Order Statistics, section 7.1.
    """
    size = len(values)
    # The largest number of values below the interval, on either side, that leaves the level.
    cut = int(stats.binom.ppf((1 - level) / 2, size, 0.5))
    if stats.binom.cdf(cut, size, 0.5) > (1 - level) / 2:
        cut -= 1
    if cut < 0:
        return None
    ordered = sorted(values)
    return ordered[cut], ordered[size - 1 - cut]


@dataclass(frozen=True, slots=True)
class Ratio:
    """Speed ratio of two arms: median over interleaved rounds, with its 95% interval.

    `low` and `high` are None with too few rounds.
    """

    median: float
    low: float | None
    high: float | None

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high


def paired_ratio(times: Sequence[float], reference: Sequence[float], *, level: float = 0.95) -> Ratio:
    """Speed-up of an arm over a reference from interleaved samples: reference time over arm time, by round.

    A temporary slowdown affects both samples of a round, not their ratio.

    Args:
        times: seconds of the arm, one per round.
        reference: seconds of the reference, same rounds.
        level: of the interval.

    Raises:
        ValueError: different lengths, no rounds, or a time that isn't positive.
    """
    if len(times) != len(reference) or not times:
        raise ValueError(f"{len(times)} and {len(reference)} samples: give both arms the same rounds, at least one")
    if min(*times, *reference) <= 0:
        raise ValueError("a time is not above 0: use a clock that is fine enough")
    ratios = [base / time for time, base in zip(times, reference, strict=True)]
    low, high = median_interval(ratios, level=level) or (None, None)
    return Ratio(median(ratios), low, high)
