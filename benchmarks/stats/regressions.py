"""Tests for losses beyond a limit between two small sets of runs: regressed, held, or undecided.

Rates, times and memory are modelled as logarithms: the value of the configuration plus the drift of the measuring
process. Drift is normal, with one deviation for all processes of a model's arm, and independent between processes;
sampling error is negligible beside it. Runs of one process share its drift, so they count once, as their mean. For two
arms of equal deviation, the ratio of geometric means has Student's t interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.stats.blocks import holm

ALPHA = 0.05
_NOTHING = 1e-12

Verdict = Literal["regressed", "held", "not decided"]


@dataclass(frozen=True, slots=True)
class Loss:
    """Estimated loss: positive if worse, in points or as the logarithm of a ratio.

    Attributes:
        amount: the estimate.
        error: its standard error; None if the noise is unknown.
        freedom: degrees of freedom of the error.
    """

    amount: float
    error: float | None = None
    freedom: float = math.inf

    def chance_beyond(self, limit: float) -> float | None:
        """One-sided p-value of the loss being at most the limit: small if it is surely more."""
        if self.error is None:
            return None
        if self.error < _NOTHING:  # without noise a loss is within the limit or beyond it
            return 0.0 if self.amount > limit + _NOTHING else 1.0
        return float(special.stdtr(self.freedom, (limit - self.amount) / self.error))

    def interval(self) -> tuple[float, float] | None:
        """Interval between one-sided 95% bounds; None if the noise is unknown."""
        if self.error is None:
            return None
        half = self.error * float(special.stdtrit(self.freedom, 1 - ALPHA))
        return self.amount - half, self.amount + half


def verdicts(losses: Sequence[Loss], limits: Sequence[float]) -> list[tuple[Verdict, float | None]]:
    """Verdict on each loss, with its p-value (Holm) for exceeding the limit.

    Two one-sided tests at 5%. `held` rejects a loss of the limit or more, for this loss alone, so that a loss beyond
    its limit is held in at most 5% of cases (D. J. Schuirmann, 1987, J. Pharmacokinetics and Biopharmaceutics
    15:657-680). `regressed` rejects a loss within the limit, after Holm's correction over all losses: if none is beyond
    its limit, at most 5% of comparisons find any.

    Args:
        losses: all that are judged together.
        limits: largest allowed loss of each.
    """
    bare = [loss.chance_beyond(limit) for loss, limit in zip(losses, limits, strict=True)]
    known = iter(holm([value for value in bare if value is not None]))
    adjusted = [None if value is None else next(known) for value in bare]
    found: list[tuple[Verdict, float | None]] = []
    for loss, limit, p_value in zip(losses, limits, adjusted, strict=True):
        within = Loss(-loss.amount, loss.error, loss.freedom).chance_beyond(-limit)
        if p_value is not None and p_value < ALPHA:
            found.append(("regressed", p_value))
        else:
            found.append(("held" if within is not None and within < ALPHA else "not decided", p_value))
    return found


def drift(groups: Sequence[Sequence[float]]) -> tuple[float, int] | None:
    """Pooled deviation between processes and its degrees of freedom; None if no group has two.

    Args:
        groups: logarithms, one per process, of processes with equal work and versions.
    """
    freedom = sum(len(group) - 1 for group in groups if group)
    if not freedom:
        return None
    squares = sum(float(np.square(np.asarray(group) - fmean(group)).sum()) for group in groups if group)
    return math.sqrt(squares / freedom), freedom


def ratio_loss(before: Sequence[float], now: Sequence[float], between: tuple[float, int] | None) -> Loss:
    """Loss from one set of processes to another.

    Args:
        before: logarithms, one per process; higher is better.
        now: likewise.
        between: see `drift`.
    """
    amount = fmean(before) - fmean(now)
    if between is None:
        return Loss(amount)
    return Loss(amount, between[0] * math.sqrt(1 / len(before) + 1 / len(now)), between[1])


def paired_losses(changes: Sequence[Sequence[float]]) -> list[Loss] | None:
    """Mean loss of each row over its seeds, with variance pooled over rows.

    Args:
        changes: after minus before, by row and seed; at least one per row.

    Returns:
        None if no row has two seeds: the variance is unknown.
    """
    between = drift(changes)
    if between is None:
        return None
    return [Loss(-fmean(row), between[0] / math.sqrt(len(row)), between[1]) for row in changes]


def mean_loss(losses: Sequence[Loss]) -> Loss:
    """Mean of independent losses, for a common one; degrees of freedom are the lowest of all."""
    amount = fmean(loss.amount for loss in losses)
    errors = [loss.error for loss in losses if loss.error is not None]
    if len(errors) < len(losses):
        return Loss(amount)
    return Loss(amount, math.hypot(*errors) / len(losses), min(loss.freedom for loss in losses))


def answers_loss(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Loss:
    """Paired loss of accuracy in points, from two runs' answers to the same images `(images,)`."""
    size, lost, won = len(before), int((before & ~after).sum()), int((after & ~before).sum())
    return Loss(100 * (lost - won) / size, 100 * math.sqrt(lost + won - (lost - won) ** 2 / size) / size)


def counts_loss(before: int, after: int, trials: int) -> Loss:
    """Loss from two counts of correct answers in `trials` each, as for different images.

    Conservative for the same images, as their answers are correlated.
    """
    share = (before + after) / (2 * trials)
    return Loss(100 * (before - after) / trials, 100 * math.sqrt(2 * share * (1 - share) / trials))
