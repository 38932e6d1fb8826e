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
    """How often each image is drawn in each resample `(images, resamples)`: whole numbers, the same ones every time.

    As floats, since a product of matrices is what they are for: its sums stay below 2 ** 24 and so are exact.
    """
    generator = np.random.default_rng(_SEED)
    counts = np.empty((NUM_RESAMPLES, num_images), dtype=np.float32)
    for row in counts:
        row[:] = np.bincount(generator.integers(0, num_images, num_images), minlength=num_images)
    return np.ascontiguousarray(counts.T)


def resampled_accuracy(answers: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Accuracy in percent of each run on each resample of the test images, drawn with replacement.

    All runs see the same resamples, so that differences between them are paired. Only differences are what they
    should be: the share of images that every run got right is left as it is, which spares most of the work. B. Efron
    & R. Tibshirani (1993), An Introduction to the Bootstrap.

    Args:
        answers: which images each run got right, `(runs, images)`.

    Returns:
        `(resamples, runs)`, the same numbers each time.
    """
    num_images = answers.shape[1]
    assert num_images < 2**24, "sums of so many images are not exact in fp32"
    everyone = answers.all(axis=0)
    varying = ~everyone & answers.any(axis=0)
    right = answers[:, varying].astype(np.float32) @ _resamples(num_images)[varying]
    return 100.0 * (right.T.astype(np.float64) + int(everyone.sum())) / num_images


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageInterval:
    """A 95% interval over test images for one of several differences, in points.

    Attributes:
        low, high: it holds for all differences together.
        standard_error: of this difference.
        critical: how many standard errors the interval reaches to each side.
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
    """Bootstrap intervals that hold together: each as wide as the largest of all standardised deviations asks for.

    A plain interval for each of ten pairs would exclude 0 for some pair in far more than one of twenty sweeps in which
    no model is better than another, since models that err on different images differ on any one test set. R. Beran
    (1988), Balanced simultaneous confidence sets, JASA 83:679-686; P. H. Westfall & S. S. Young (1993),
    Resampling-Based Multiple Testing.

    Args:
        differences: in points, on the test images as they are.
        resampled: the same on resampled images, `(resamples, differences)`.
        more_variance: of each difference, that resampling images can't show, in squared points; the intervals are as
            much wider.
        level: with which all intervals hold at once.
    """
    observed = np.asarray(differences, dtype=float)
    deviations = np.abs(resampled - observed)
    errors = resampled.std(axis=0)
    moving = errors > 1e-9  # two runs with the same answers differ on no image
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
    """The exact McNemar test of two runs on the same images `(images,)`.

    It takes the two runs as they are: another seed may turn the answer around. Q. McNemar (1947), Note on the sampling
    error of the difference between correlated proportions or percentages, Psychometrika 12:153-157.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    trials = only_first + only_second
    p_value = float(stats.binomtest(only_first, trials).pvalue) if trials else 1.0
    return McNemar(only_first, only_second, p_value)
