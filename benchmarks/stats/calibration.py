"""Calibration: agreement of confidence and accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_BINS = 15
"""The usual number in the literature, after Guo et al."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Images with a predicted-class probability in (`low`, `high`]; means of an empty bin are None."""

    low: float
    high: float
    num_images: int
    mean_confidence: float | None
    accuracy: float | None


def reliability(correct: NDArray[np.bool_], confidence: NDArray[np.floating], *, num_bins: int = NUM_BINS) -> list[Bin]:
    """Bins of equal width by probability of the predicted class; 0 belongs to the first.

    Args:
        correct: whether the predicted class is the true one, `(images,)`.
        confidence: the probability of the predicted class, `(images,)`, between 0 and 1.
        num_bins: of width `1 / num_bins`.

    Raises:
        ValueError: different shapes, no images, or a probability outside [0, 1].
    """
    if correct.shape != confidence.shape or correct.ndim != 1 or not len(correct):
        raise ValueError(f"correct {correct.shape} and confidence {confidence.shape}: give one of each for every image")
    if not (confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("a confidence is not between 0 and 1: give the probability of the predicted class")
    edges = np.linspace(0, 1, num_bins + 1)
    places = np.clip(np.searchsorted(edges, confidence.astype(float), side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(places, minlength=num_bins)
    sure = np.bincount(places, weights=confidence.astype(float), minlength=num_bins)
    right = np.bincount(places, weights=correct.astype(float), minlength=num_bins)
    return [
        Bin(
            low=float(edges[index]),
            high=float(edges[index + 1]),
            num_images=int(count),
            mean_confidence=float(sure[index] / count) if count else None,
            accuracy=float(right[index] / count) if count else None,
        )
        for index, count in enumerate(counts)
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """Mean gap between confidence and accuracy over bins, weighted by images; from 0 to 1.

    It depends on the number of bins: report both. C. Guo, G. Pleiss, Y. Sun & K. Weinberger (2017), On calibration of
    modern neural networks, arXiv:1706.04599.
    """
    total = sum(group.num_images for group in bins)
    gaps = (
        group.num_images * abs(group.mean_confidence - group.accuracy)
        for group in bins
        if group.mean_confidence is not None and group.accuracy is not None
    )
    return sum(gaps) / total
