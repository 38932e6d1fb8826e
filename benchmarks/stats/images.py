"""Uncertainty from the choice of test images: the paired bootstrap, and McNemar's test for two runs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

NUM_RESAMPLES = 2000
_SEED = 20_170_825


@functools.lru_cache(maxsize=1)
def _resamples(num_images: int) -> NDArray[np.float32]:
    """Number of draws of each image in each resample `(images, resamples)`, the same on every call.

    Whole numbers, as floats for matrix products: sums stay below 2 ** 24 and so are exact.
    """
    generator = np.random.default_rng(_SEED)
    counts = np.empty((NUM_RESAMPLES, num_images), dtype=np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, num_images, num_images), minlength=num_images)
    return np.ascontiguousarray(counts.T)


def resampled_accuracy(answers: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Accuracy in percent of each run on each resample of the test images, drawn with replacement.

    All runs share the resamples, so differences are paired. Only differences are valid: the share of images that every
    run got right is kept fixed, which saves most of the work. B. Efron & R. Tibshirani (1993), An Introduction to the
    Bootstrap.

    Args:
        answers: correctness by run and image, `(runs, images)`.

    Returns:
        `(resamples, runs)`, deterministic.
    """
    num_images = answers.shape[1]
    assert num_images < 2**24, "sums of so many images are not exact in fp32"
    everyone = answers.all(axis=0)
    varying = ~everyone & answers.any(axis=0)
    right = answers[:, varying].astype(np.float32) @ _resamples(num_images)[varying]
    return 100.0 * (right.T.astype(np.float64) + int(everyone.sum())) / num_images


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInterval:
    """95% interval over test images for one of several differences, in points.

    Attributes:
        low, high: simultaneous for all differences.
        standard_error: of this difference.
        critical: half-width in standard errors.
    """

    low: float
    high: float
    standard_error: float
    critical: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def simultaneous_intervals(
    differences: Sequence[float],
    resampled: NDArray[np.float64],
    *,
    more_variance: Sequence[float] | None = None,
    level: float = 0.95,
) -> list[ImageInterval]:
    """Simultaneous bootstrap intervals, from the maximum of all standardised deviations.

    With a separate interval for each of ten pairs, far more than one in twenty sweeps of equal models would have a pair
    that excludes 0, since models that err on different images differ on any one test set. R. Beran (1988), Balanced
    simultaneous confidence sets, JASA 83:679-686; P. H. Westfall & S. S. Young (1993), Resampling-Based Multiple
    Testing.

    Args:
        differences: in points, on the original test images.
        resampled: the same on resampled images, `(resamples, differences)`.
        more_variance: variance of each difference invisible to image resampling, in squared points; widens the
            intervals.
        level: simultaneous coverage.
    """
    observed = np.asarray(differences, dtype=float)
    deviations = np.abs(resampled - observed)
    errors = resampled.std(axis=0)
    moving = errors > 1e-9  # runs with equal answers differ on no image
    largest = (deviations[:, moving] / errors[moving]).max(axis=1) if moving.any() else np.zeros(len(resampled))
    critical = float(np.quantile(largest, level))
    totals = np.sqrt(np.where(moving, errors, 0.0) ** 2 + (0.0 if more_variance is None else np.array(more_variance)))
    return [
        ImageInterval(
            low=value - critical * error, high=value + critical * error, standard_error=error, critical=critical
        )
        for value, error in zip(observed.tolist(), totals.tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True)
class McNemar:
    """Images classified correctly by only one of two runs, and the p-value of the split."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Exact McNemar test of two runs on the same images `(images,)`.

    It ignores seeds: another seed may reverse the result. Q. McNemar (1947), Note on the sampling error of the
    difference between correlated proportions or percentages, Psychometrika 12:153-157.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    trials = only_first + only_second
    p_value = float(stats.binomtest(only_first, trials).pvalue) if trials else 1.0
    return McNemar(only_first, only_second, p_value)
