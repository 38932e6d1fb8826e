"""Pareto fronts of accuracy and cost, with bootstrap probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.stats.images import NUM_RESAMPLES, resampled_accuracy

_SEED = 20_170_826


@dataclass(frozen=True, kw_only=True, slots=True)
class PricedRun:
    """One run: seed, accuracy in percent, cost, and correctness per test image; None if unknown."""

    seed: int
    top1_pct: float
    cost: float
    answers: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class FrontPlace:
    """Whether a model is on the measured front, and its share of resampled fronts; None without resampling."""

    on_front: bool
    probability: float | None


def pareto_front(accuracy: NDArray[np.floating], cost: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Models on the front: no other is as accurate and as cheap, and better in one of the two.

    Args:
        accuracy: `(..., models)`, higher is better.
        cost: `(..., models)`, lower is better.
    """
    as_good = (accuracy[..., None, :] >= accuracy[..., :, None]) & (cost[..., None, :] <= cost[..., :, None])
    better = (accuracy[..., None, :] > accuracy[..., :, None]) | (cost[..., None, :] < cost[..., :, None])
    return np.asarray(~(as_good & better).any(axis=-1))


def front_places(models: Sequence[Sequence[PricedRun]]) -> list[FrontPlace]:
    """Place of each model, by mean accuracy and mean cost over its runs.

    The bootstrap draws test images, the same for all models, and seeds with their runs and costs; the same seeds for
    all models with equal seeds. Unless every run has answers on the same images, only seeds are drawn.

    Args:
        models: the runs of each model, at least one each.
    """
    cells = [run for runs in models for run in runs]
    owner = np.repeat(np.arange(len(models)), [len(runs) for runs in models])
    cost = np.array([run.cost for run in cells])
    even = np.concatenate([np.full(len(runs), 1 / len(runs)) for runs in models])
    observed = pareto_front(
        _by_model(np.array([run.top1_pct for run in cells]) * even, owner), _by_model(cost * even, owner)
    )
    sizes = {None if run.answers is None else len(run.answers) for run in cells}
    known = len(sizes) == 1 and None not in sizes
    if not known and len(cells) == len(models):
        return [FrontPlace(bool(place), None) for place in observed]
    if known:
        accuracy = resampled_accuracy(np.array([run.answers for run in cells]))
    else:
        accuracy = np.tile([run.top1_pct for run in cells], (NUM_RESAMPLES, 1))
    weights = _drawn_seeds(models)
    shares = pareto_front(_by_model(accuracy * weights, owner), _by_model(cost * weights, owner)).mean(axis=0)
    return [FrontPlace(bool(place), float(share)) for place, share in zip(observed, shares, strict=True)]


def _by_model(values: NDArray[np.floating], owner: NDArray[np.integer]) -> NDArray[np.floating]:
    """Sums over the runs of each model, `(..., runs)` to `(..., models)`."""
    return np.add.reduceat(values, np.flatnonzero(np.diff(owner, prepend=-1)), axis=-1)


def _drawn_seeds(models: Sequence[Sequence[PricedRun]]) -> NDArray[np.float64]:
    """Share of each run in its model's mean, `(resamples, runs)`."""
    generator = np.random.default_rng(_SEED)
    seeds = [[run.seed for run in runs] for runs in models]
    shared = _counts(generator, len(seeds[0])) if all(own == seeds[0] for own in seeds) else None
    return np.concatenate([_counts(generator, len(own)) if shared is None else shared for own in seeds], axis=1)


def _counts(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
    return generator.multinomial(size, [1 / size] * size, size=NUM_RESAMPLES) / size
