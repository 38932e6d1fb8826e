"""Power over seeds, and the number of seeds needed to detect a difference."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import special

MOST_SEEDS = 1000

_NODES, _HALVES = np.polynomial.legendre.leggauss(200)
_QUANTILES, _WEIGHTS = (_NODES + 1) / 2, _HALVES / 2


def power_over_seeds(
    difference: float, *, deviation: float, num_seeds: int, num_models: int = 2, alpha: float = 0.05
) -> float:
    """Probability that the blocked t test finds a true difference between two models, from 0 to 1.

    The statistic has a noncentral t distribution: the pooled variance has `(models - 1) * (seeds - 1)` degrees of
    freedom.

    Args:
        difference: true, in points.
        deviation: standard deviation of the noise of one run, in points.
        num_seeds: runs of each model.
        num_models: number pooled for the variance.
        alpha: level of the two-sided test; for m pairs 0.05 / m, Holm's strictest step, is the safe choice.

    Raises:
        ValueError: fewer than two seeds or models, or a deviation not above 0.
    """
    if num_seeds < 2 or num_models < 2 or deviation <= 0:
        raise ValueError(
            f"num_seeds={num_seeds}, num_models={num_models}, deviation={deviation}: "
            "give 2 or more seeds and models, and a deviation above 0"
        )
    freedom = (num_models - 1) * (num_seeds - 1)
    shift = abs(difference) / (deviation * math.sqrt(2 / num_seeds))
    critical = special.stdtrit(freedom, 1 - alpha / 2)
    # The noncentral t distribution by its definition, a mean over the estimated deviation: scipy 1.17's own gives NaN
    # for many values of hundreds of degrees of freedom.
    estimated = np.sqrt(2 * special.gammaincinv(freedom / 2, _QUANTILES) / freedom)
    found = special.ndtr(shift - critical * estimated) + special.ndtr(-shift - critical * estimated)
    return float(found @ _WEIGHTS)


def seeds_needed(
    difference: float,
    *,
    deviation: float,
    num_models: int,
    num_pairs: int,
    power: float = 0.8,
    enough_images: Callable[[int], bool] = lambda num_seeds: True,
) -> int | None:
    """Fewest seeds per model that detect a difference of this size; None if 1,000 don't suffice.

    Args:
        difference: true, in points; usually the observed one.
        deviation: standard deviation of the noise of one run, in points.
        num_models: number pooled for the variance.
        num_pairs: tested together.
        power: probability of detection.
        enough_images: whether the interval over test images would exclude 0 with this many seeds; monotonic. More seeds
            reduce the seeds' share of that interval, never that of the test images.
    """
    if not difference:
        return None

    def found(num_seeds: int) -> bool:
        if not enough_images(num_seeds):
            return False
        if deviation <= 0:
            return True
        alpha = 0.05 / num_pairs
        return power <= power_over_seeds(
            difference, deviation=deviation, num_seeds=num_seeds, num_models=num_models, alpha=alpha
        )

    low, high = 2, MOST_SEEDS
    if not found(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle + 1, high)
    return low
