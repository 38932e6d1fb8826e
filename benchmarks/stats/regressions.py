"""Tests of losses beyond a limit between two small sets of runs: regressed, held, or not decided.

What a machine does to rates, times and memory is modelled on the logarithm: a value is that of its configuration plus
the drift of the process that measured it. Drift is normal, with one deviation for all processes of a model's arm, and
independent between processes; how finely a process sampled is negligible beside it. Runs of one process share its
drift, so they count once, as their mean. Two arms of equal deviation have Student's t interval for the ratio of their
geometric means.
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
    """An estimated loss: above 0 for the worse, in points or as a logarithm of a ratio.

    Attributes:
        amount: the estimate.
        error: its standard error; None where nothing is known of the noise.
        freedom: degrees of freedom of the error.
    """

    amount: float
    error: float | None = None
    freedom: float = math.inf

    def chance_beyond(self, limit: float) -> float | None:
        """The one-sided p-value of the loss being at most the limit: small where it is surely more."""
        if self.error is None:
            return None
        if self.error < _NOTHING:  # without noise a loss is within the limit or beyond it
            return 0.0 if self.amount > limit + _NOTHING else 1.0
        return float(special.stdtr(self.freedom, (limit - self.amount) / self.error))

    def interval(self) -> tuple[float, float] | None:
        """Between the two one-sided 95% bounds; None where nothing is known of the noise."""
        if self.error is None:
            return None
        half = self.error * float(special.stdtrit(self.freedom, 1 - ALPHA))
        return self.amount - half, self.amount + half


def verdicts(losses: Sequence[Loss], limits: Sequence[float]) -> list[tuple[Verdict, float | None]]:
    """What became of each loss, with the p-value (Holm) of its being beyond its limit.

    Two one-sided tests at 5%. `held` is what the test against a loss of the limit or more says of this loss alone, so
    that a loss beyond its limit is held in at most 5% of cases (D. J. Schuirmann, 1987, J. Pharmacokinetics and
    Biopharmaceutics 15:657-680). `regressed` is what the test against a loss within the limit says after Holm's
    correction over all losses: where none is beyond its limit, at most 5% of all comparisons find any.

    Args:
        losses: of everything that is judged together.
        limits: the largest loss that is allowed, for each.
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
    """The deviation between processes and its degrees of freedom, pooled; None where no group has two.

    Args:
        groups: logarithms, one a process, of processes that did the same with the same versions.
    """
    freedom = sum(len(group) - 1 for group in groups if group)
    if not freedom:
        return None
    squares = sum(float(np.square(np.asarray(group) - fmean(group)).sum()) for group in groups if group)
    return math.sqrt(squares / freedom), freedom


def ratio_loss(before: Sequence[float], now: Sequence[float], between: tuple[float, int] | None) -> Loss:
    """The loss from one set of processes to another.

    Args:
        before: logarithms of what is the better the more, one a process.
        now: likewise.
        between: see `drift`.
    """
    amount = fmean(before) - fmean(now)
    if between is None:
        return Loss(amount)
    return Loss(amount, between[0] * math.sqrt(1 / len(before) + 1 / len(now)), between[1])


def paired_losses(changes: Sequence[Sequence[float]]) -> list[Loss] | None:
    """The mean loss of each row over its seeds, with the variance pooled over rows.

    Args:
        changes: after minus before, seed by seed, of each row; at least one a row.

    Returns:
        None where no row has two seeds, so that there is no variance.
    """
    between = drift(changes)
    if between is None:
        return None
    return [Loss(-fmean(row), between[0] / math.sqrt(len(row)), between[1]) for row in changes]


def mean_loss(losses: Sequence[Loss]) -> Loss:
    """The mean of independent losses, for one that all share; with the degrees of freedom of the least known."""
    amount = fmean(loss.amount for loss in losses)
    errors = [loss.error for loss in losses if loss.error is not None]
    if len(errors) < len(losses):
        return Loss(amount)
    return Loss(amount, math.hypot(*errors) / len(losses), min(loss.freedom for loss in losses))


def answers_loss(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Loss:
    """Points of accuracy lost between two runs' answers to the same images `(images,)`: a difference in pairs."""
    size, lost, won = len(before), int((before & ~after).sum()), int((after & ~before).sum())
    return Loss(100 * (lost - won) / size, 100 * math.sqrt(lost + won - (lost - won) ** 2 / size) / size)


def counts_loss(before: int, after: int, trials: int) -> Loss:
    """The same from two counts out of as many trials each, as if those were not the same images.

    With the same images, which runs get right alike, this is on the safe side.
    """
    share = (before + after) / (2 * trials)
    return Loss(100 * (before - after) / trials, 100 * math.sqrt(2 * share * (1 - share) / trials))
