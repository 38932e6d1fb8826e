"""Comparison of models blocked by seed: two-way analysis of variance, also for unbalanced data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

_NOTHING = 1e-9
"""Smaller sums of squares (squared points) and differences (points) are rounding errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """Difference between two models, blocked by seed.

    Attributes:
        difference: first minus second, in the unit of the values.
        standard_error: None if the residual has no degrees of freedom.
        low, high: 95% t interval of this difference alone; None likewise.
        p_value: two-sided, for this difference; None likewise.
    """

    difference: float
    standard_error: float | None
    low: float | None
    high: float | None
    p_value: float | None


class Blocks:
    """Additive model value = model + seed + noise, fitted by least squares.

    All models see the same data order and augmentation under one seed, so a seed is a block. The noise has the same
    variance for all models, pooled over their residuals: with few seeds each, this provides the degrees of freedom of a
    test. Without missing runs, a difference is that of the means, and its variance is twice the residual mean square
    over the number of seeds (Montgomery, Design and Analysis of Experiments, chapter 4). With missing runs, least
    squares uses all existing ones: a seed that one model lacks still counts for the others.

    Args:
        values: value by model and seed.

    Raises:
        ValueError: no values.
    """

    def __init__(self, values: Mapping[str, Mapping[int, float]]) -> None:
        self.cells = [(model, seed) for model, by_seed in values.items() for seed in by_seed]
        if not self.cells:
            raise ValueError("there is no value to compare: give each model at least one seed")
        models, seeds = list(values), sorted({seed for _, seed in self.cells})
        design = np.zeros((len(self.cells), len(models) + len(seeds)))
        for row, (model, seed) in enumerate(self.cells):
            design[row, models.index(model)] = design[row, len(models) + seeds.index(seed)] = 1.0
        observed = np.array([values[model][seed] for model, seed in self.cells], dtype=float)
        inverse = np.linalg.pinv(design)
        residuals = observed - design @ (inverse @ observed)
        self.num_models, self.num_seeds = len(models), len(seeds)
        self.degrees_of_freedom = len(self.cells) - int(np.linalg.matrix_rank(design))
        squares = float(residuals @ residuals)
        self.variance: float | None = None
        if self.degrees_of_freedom:
            self.variance = 0.0 if squares < _NOTHING else _settled(squares / self.degrees_of_freedom)
        self._models, self._observed = models, observed
        self._effects, self._estimable = inverse[: len(models)], (inverse @ design)[: len(models)]

    def weights(self, first: str, second: str) -> NDArray[np.float64] | None:
        """Weight of each run of `cells` in the difference `(cells,)`; None if no chain of seeds joins the two."""
        one, other = self._models.index(first), self._models.index(second)
        wanted = np.zeros(self._estimable.shape[1])
        wanted[one], wanted[other] = 1.0, -1.0
        if np.abs(self._estimable[one] - self._estimable[other] - wanted).max() > 1e-8:
            return None
        found = self._effects[one] - self._effects[other]
        return np.where(np.abs(found) < 1e-12, 0.0, found)

    def contrast(self, first: str, second: str, *, level: float = 0.95) -> Contrast | None:
        """Difference of two models; None if they share no seed, nor a chain of models that do."""
        weights = self.weights(first, second)
        if weights is None:
            return None
        difference = float(weights @ self._observed)
        difference = 0.0 if abs(difference) < _NOTHING else _settled(difference)
        if self.variance is None:
            return Contrast(difference=difference, standard_error=None, low=None, high=None, p_value=None)
        error = _settled(float(np.sqrt(self.variance * (weights @ weights))))
        half = float(special.stdtrit(self.degrees_of_freedom, (1 + level) / 2)) * error
        return Contrast(
            difference=difference,
            standard_error=error,
            low=_settled(difference - half),
            high=_settled(difference + half),
            p_value=two_sided_p(difference, error, self.degrees_of_freedom),
        )


def _settled(value: float) -> float:
    """Drop the last digits, which differ between LAPACK builds and would show in tables that round ties."""
    return float(f"{value:.12g}")


def two_sided_p(difference: float, standard_error: float, degrees_of_freedom: int) -> float:
    """Student's t test of a difference against 0; without noise the p-value is 0 or 1."""
    if standard_error == 0:
        return 0.0 if difference else 1.0
    return float(2 * special.stdtr(degrees_of_freedom, -abs(difference) / standard_error))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in input order: at most 5% of families without differences have one below 0.05.

    S. Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6:65-70.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
