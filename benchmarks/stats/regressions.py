"""Whether something that was measured before and after has become worse: one-sided evidence from few runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

_NOTHING = 1e-12


def pooled_drops(changes: Sequence[Sequence[float]]) -> list[float] | None:
    """For each row one-sided p-values of its mean change being below 0, with the variance pooled over rows.

    Args:
        changes: after minus before, seed by seed, of each row; at least one a row.

    Returns:
        None where no row has two seeds, so that there is no variance.
    """
    freedom = sum(len(row) - 1 for row in changes)
    if not freedom:
        return None
    squares = sum(float(np.square(np.asarray(row) - fmean(row)).sum()) for row in changes)
    return [_below_zero(fmean(row), math.sqrt(squares / freedom / len(row)), freedom) for row in changes]


def common_drop(changes: Sequence[Sequence[float]]) -> float | None:
    """The one-sided p-value of the mean over rows being below 0, by how much rows vary; None for a single row."""
    means = [fmean(row) for row in changes]
    if len(means) < 2:
        return None
    return _below_zero(fmean(means), float(np.std(means, ddof=1)) / math.sqrt(len(means)), len(means) - 1)


def _below_zero(mean: float, standard_error: float, freedom: int) -> float:
    """Student's t test; without any spread a change is either nothing or certain."""
    if standard_error < _NOTHING:
        return 0.0 if mean < -_NOTHING else 1.0
    return float(special.stdtr(freedom, mean / standard_error))


def fewer_right(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """The exact one-sided McNemar test of two runs' answers to the same images `(images,)`."""
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    return float(stats.binomtest(lost, lost + won, alternative="greater").pvalue) if lost + won else 1.0


def lower_share(before: int, after: int, trials: int) -> float:
    """The one-sided test of two counts out of as many trials each, as if those were not the same images.

    With the same images, which runs get right alike, this is on the safe side.
    """
    share = (before + after) / (2 * trials)
    error = math.sqrt(2 * share * (1 - share) / trials)
    if error == 0:
        return 1.0 if after >= before else 0.0
    return float(special.ndtr((after - before) / trials / error))


def slower(before: Sequence[float], after: Sequence[float]) -> float | None:
    """The one-sided Mann-Whitney test of two runs' samples of a rate; None where either has fewer than four.

    H. B. Mann & D. R. Whitney (1947), On a test of whether one of two random variables is stochastically larger than
    the other, Annals of Mathematical Statistics 18:50-60. Samples of one process share what that process was lucky or
    unlucky with: the noise between processes has to be known from elsewhere.
    """
    if min(len(before), len(after)) < 4:
        return None
    return float(stats.mannwhitneyu(before, after, alternative="greater").pvalue)
