"""Pairwise comparison of models by one rule, over seeds and over test images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.stats.blocks import Blocks, Contrast, holm
from benchmarks.stats.images import ImageInterval, McNemar, mcnemar, resampled_accuracy, simultaneous_intervals
from benchmarks.stats.letters import compact_letters
from benchmarks.stats.power import seeds_needed

ALPHA = 0.05

Answers = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run of a model: accuracy in percent, and correctness per test image `(images,)`; None if unknown."""

    top1_pct: float
    answers: Answers | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two models compared.

    Attributes:
        first, second: names, in the order given.
        over_seeds: difference blocked by seed, in points; None without a shared seed.
        adjusted_p: of that difference, by Holm's method over all pairs; None without an estimate of variance.
        over_images: simultaneous interval over test images; None if answers are missing.
        mcnemar: if both have only one seed, the same.
        mcnemar_adjusted_p: by Holm's method over all pairs with one.
        differs: verdict; None if half of the evidence is missing.
        num_seeds_needed: total seeds per model to detect a difference of this size with 80% power; None if no number
            suffices, the verdict stands, or nothing is known.
        image_error_floor: standard error over test images with infinitely many seeds, in points.
    """

    first: str
    second: str
    over_seeds: Contrast | None
    adjusted_p: float | None = None
    over_images: ImageInterval | None = None
    mcnemar: McNemar | None = None
    mcnemar_adjusted_p: float | None = None
    differs: bool | None = None
    num_seeds_needed: int | None = None
    image_error_floor: float | None = None

    @property
    def difference(self) -> float | None:
        """Accuracy of the first minus that of the second, in points."""
        return None if self.over_seeds is None else self.over_seeds.difference


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """All pairs of several models.

    Attributes:
        pairs: in the order of the models.
        letters: by model; models with a common letter are not significantly different. None if a pair has no verdict.
        num_models: number pooled for the variance.
        num_seeds: distinct.
        deviation: standard deviation of one run's noise within its block, in points; None without degrees of freedom.
        degrees_of_freedom: of that deviation.
    """

    pairs: list[Pair]
    letters: dict[str, str] | None
    num_models: int
    num_seeds: int
    deviation: float | None
    degrees_of_freedom: int


def compare_models(models: Mapping[str, Mapping[int, Run]]) -> Comparison:
    """Compare every pair of models.

    Two models differ if both hold: their difference, blocked by seed with the variance pooled over all models, is
    significant after Holm's correction over all pairs at 0.05; and the paired bootstrap interval over test images of
    the same difference, which holds for all pairs together, excludes 0. The first asks whether other seeds would agree,
    the second whether other test images would. With five models and seeds it is wrong for some pair in 5.5% of sweeps
    without differences, and detects half a point in half of the pairs (`benchmarks.stats.simulation`).

    Args:
        models: runs by model and seed, best model first. Models without runs are omitted.

    Raises:
        ValueError: runs with different numbers of test images.
    """
    models = {name: runs for name, runs in models.items() if runs}
    if len(models) < 2:
        return Comparison(
            pairs=[], letters=None, num_models=len(models), num_seeds=0, deviation=None, degrees_of_freedom=0
        )
    blocks = Blocks({name: {seed: run.top1_pct for seed, run in runs.items()} for name, runs in models.items()})
    cells = [models[name][seed] for name, seed in blocks.cells]
    if len(sizes := {len(run.answers) for run in cells if run.answers is not None}) > 1:
        raise ValueError(f"runs were tested on {sorted(sizes)} images: compare those of one test set")
    noise = _noise(blocks, models)
    pairs = [
        Pair(first=one, second=other, over_seeds=blocks.contrast(one, other), mcnemar=_mcnemar(models, one, other))
        for one, other in itertools.combinations(models, 2)
    ]
    pairs = _with_images(_with_adjusted(pairs), blocks, noise, cells)
    pairs = [_with_outlook(_with_verdict(pair), blocks, noise, len(pairs)) for pair in pairs]
    decided = all(pair.differs is not None for pair in pairs)
    different = [(pair.first, pair.second) for pair in pairs if pair.differs]
    return Comparison(
        pairs=pairs,
        letters=compact_letters(list(models), different) if decided else None,
        num_models=blocks.num_models,
        num_seeds=blocks.num_seeds,
        deviation=None if blocks.variance is None else math.sqrt(blocks.variance),
        degrees_of_freedom=blocks.degrees_of_freedom,
    )


@dataclass(frozen=True, slots=True)
class Noise:
    """Variance of one run's accuracy within its block, in squared points: total, and the part of single images.

    A bootstrap over images includes answers that change between seeds independently for each image. It excludes what a
    run gains or loses on all images alike.
    """

    variance: float
    flip_variance: float

    @property
    def shift_variance(self) -> float:
        """Variance common to all images."""
        return max(0.0, self.variance - self.flip_variance)

    @property
    def run_variance(self) -> float:
        """Variance that more runs average out of an image interval."""
        return self.flip_variance + self.shift_variance


def _noise(blocks: Blocks, models: Mapping[str, Mapping[int, Run]]) -> Noise | None:
    """Noise pooled over models, like the variance of the blocks; None if it can't be estimated."""
    if blocks.variance is None:
        return None
    squares, freedom = 0.0, 0
    for runs in models.values():
        answers = [run.answers for run in runs.values() if run.answers is not None]
        if len(answers) > 1:
            shares = np.mean(answers, axis=0)
            num_images = len(shares)
            squares += 100.0**2 * len(answers) * float((shares * (1 - shares)).mean()) / num_images
            freedom += len(answers) - 1
    return Noise(blocks.variance, squares / freedom if freedom else 0.0)


def _mcnemar(models: Mapping[str, Mapping[int, Run]], first: str, second: str) -> McNemar | None:
    if len(models[first]) > 1 or set(models[first]) != set(models[second]):
        return None
    (one,), (other,) = models[first].values(), models[second].values()
    return None if one.answers is None or other.answers is None else mcnemar(one.answers, other.answers)


def _with_adjusted(pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs with p-values adjusted over all of them."""
    raw = [pair.over_seeds.p_value if pair.over_seeds else None for pair in pairs]
    single = [pair.mcnemar.p_value if pair.mcnemar else None for pair in pairs]
    return [
        replace(pair, adjusted_p=p_value, mcnemar_adjusted_p=of_one)
        for pair, p_value, of_one in zip(pairs, _holm_of_known(raw), _holm_of_known(single), strict=True)
    ]


def _holm_of_known(p_values: Sequence[float | None]) -> list[float | None]:
    adjusted = iter(holm([value for value in p_values if value is not None]))
    return [None if value is None else next(adjusted) for value in p_values]


def _with_images(pairs: Sequence[Pair], blocks: Blocks, noise: Noise | None, cells: Sequence[Run]) -> list[Pair]:
    """Pairs with intervals over test images, if all runs that enter the difference have answers."""
    known = np.array([run.answers is not None for run in cells])
    weights: dict[int, NDArray[np.float64]] = {}
    for index, pair in enumerate(pairs):
        found = blocks.weights(pair.first, pair.second)
        if found is not None and not np.any(found[~known]):
            weights[index] = found[known]
    if not weights:
        return list(pairs)
    answers = np.array([run.answers for run in cells if run.answers is not None])
    shares = np.array(list(weights.values()))
    intervals = simultaneous_intervals(
        [pairs[index].difference or 0.0 for index in weights],
        resampled_accuracy(answers) @ shares.T,
        more_variance=[noise.shift_variance * (share @ share) if noise else 0.0 for share in shares],
    )
    by_index = dict(zip(weights, intervals, strict=True))
    return [replace(pair, over_images=by_index.get(index)) for index, pair in enumerate(pairs)]


def _with_verdict(pair: Pair) -> Pair:
    if pair.adjusted_p is None or pair.over_images is None:
        return pair
    return replace(pair, differs=pair.adjusted_p < ALPHA and pair.over_images.excludes_zero)


def _with_outlook(pair: Pair, blocks: Blocks, noise: Noise | None, num_pairs: int) -> Pair:
    """Add the number of seeds needed to a pair without a significant difference."""
    weights = blocks.weights(pair.first, pair.second)
    if pair.differs is not False or pair.over_images is None or weights is None or noise is None:
        return pair
    interval, reach = pair.over_images, abs(pair.difference or 0.0)
    floor = max(0.0, interval.standard_error**2 - noise.run_variance * float(weights @ weights))
    needed = seeds_needed(
        reach,
        deviation=math.sqrt(noise.variance),
        num_models=blocks.num_models,
        num_pairs=num_pairs,
        enough_images=lambda seeds: reach > interval.critical * math.sqrt(floor + 2 * noise.run_variance / seeds),
    )
    return replace(pair, num_seeds_needed=needed, image_error_floor=math.sqrt(floor))
