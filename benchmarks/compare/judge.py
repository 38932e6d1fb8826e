"""What became worse by more than is allowed, what surely didn't, and what these runs can't decide."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from benchmarks.compare.drift import Drift
from benchmarks.compare.limits import MEASURES, Measure
from benchmarks.compare.matching import MatchedRow, Matching
from benchmarks.records.record import RunRecord
from benchmarks.report.answers import Answers
from benchmarks.report.values import num_test_images
from benchmarks.stats.regressions import (
    Loss,
    Verdict,
    answers_loss,
    counts_loss,
    mean_loss,
    paired_losses,
    ratio_loss,
    verdicts,
)

Pair = tuple[RunRecord, RunRecord]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One row of one measure: before and now, the change with its interval, and what follows.

    Attributes:
        num_before, num_now: seeds of an accuracy, processes of anything else.
        before, now: the mean, geometric but for accuracy.
        change, low, high: in points, or in percent of before; the interval lies between two one-sided 95% bounds.
        noise: the deviation between seeds' differences in points, or between processes in percent, by which it was
            decided; None where it isn't known.
        freedom: its degrees of freedom; None likewise, and infinite where test images are all there is.
        p_value: of a loss within the limit, adjusted by Holm's method over all that is judged.
        verdict: `not judged` where the sides are of two machines.
    """

    label: str
    num_before: int
    num_now: int
    before: float | None
    now: float | None
    change: float
    low: float | None
    high: float | None
    noise: float | None
    freedom: float | None
    p_value: float | None
    verdict: Verdict | Literal["not judged"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """All rows of a measure; the last of accuracy is the mean over them where there are several."""

    title: str
    unit: str
    limit: float
    changes: Sequence[Change]

    def count(self, verdict: str) -> int:
        """How many rows have a verdict."""
        return sum(change.verdict == verdict for change in self.changes)


@dataclass(frozen=True, slots=True)
class _Row:
    """What is known of a row before anything is judged; `noise` is in the unit of the loss."""

    label: str
    before: Sequence[float]
    now: Sequence[float]
    loss: Loss
    noise: float | None = None


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows of one measure, their limit as a person gave it and in the unit of a loss, and a loss as a change."""

    title: str
    unit: str
    given: float
    limit: float
    rows: Sequence[_Row]
    is_judged: bool
    changed: Callable[[float], float]
    shown: Callable[[float], float]


def judge(
    matching: Matching, answers: tuple[Answers, Answers], *, limits: Mapping[str, float], drift: Drift
) -> list[Judgement]:
    """Judge accuracy, and each measure that has a limit, of matched rows.

    A loss is estimated with its error: of accuracy from the differences of the seeds that both sets have, with the
    variance pooled over rows, or for single runs from the test images; of anything else from processes, with the
    drift of that arm on that machine. `benchmarks.stats.regressions` has the model and the tests. The mean accuracy
    over all rows is judged with them, so that a loss which all share is found though none is sure by itself; that of
    rates isn't, since the machine's drift is none of independent rows.

    Args:
        matching: rows, and whether both sides are of one machine: else only accuracy is judged.
        answers: of the old and of the new set.
        limits: losses that are too much, by the name of the limit.
        drift: of each arm.
    """
    rows = [row for row in matching.rows if row.runs]
    tables = [_accuracy(rows, answers, limits["accuracy"])]
    tables += [
        _measured(rows, measure, limits[measure.limited_by], drift, is_judged=matching.same_machine)
        for measure in MEASURES
        if measure.limited_by in limits
    ]
    judged = [(row, table.limit) for table in tables for row in table.rows if table.is_judged]
    found = iter(verdicts([row.loss for row, _ in judged], [limit for _, limit in judged]))
    return [
        Judgement(
            title=table.title,
            unit=table.unit,
            limit=table.given,
            changes=[
                _change(row, table, *(next(found) if table.is_judged else ("not judged", None))) for row in table.rows
            ],
        )
        for table in tables
        if table.rows
    ]


def _change(row: _Row, table: _Table, verdict: Verdict | Literal["not judged"], p_value: float | None) -> Change:
    bounds = row.loss.interval() if table.is_judged else None
    low, high = (None, None) if bounds is None else sorted(table.changed(bound) for bound in bounds)
    return Change(
        label=row.label,
        num_before=len(row.before),
        num_now=len(row.now),
        before=table.shown(fmean(row.before)) if row.before else None,
        now=table.shown(fmean(row.now)) if row.now else None,
        change=table.changed(row.loss.amount),
        low=low,
        high=high,
        noise=None if row.noise is None else abs(table.changed(-row.noise)),
        freedom=None if row.loss.error is None else row.loss.freedom,
        p_value=p_value,
        verdict=verdict,
    )


def _accuracy(rows: Sequence[MatchedRow], answers: tuple[Answers, Answers], limit: float) -> _Table:
    found: list[_Row] = []
    changes = [[_top1_pct(new) - _top1_pct(old) for old, new in row.runs] for row in rows]
    losses = paired_losses(changes) or [_single_loss(row.runs[0], answers) for row in rows]
    for row, loss, several in zip(rows, losses, changes, strict=True):
        before, now = ([_top1_pct(pair[side]) for pair in row.runs] for side in (0, 1))
        noise = None if loss.error is None else loss.error * math.sqrt(len(several))
        found.append(_Row(row.label, before, now, loss, noise))
    if len(found) > 1:
        found.append(_Row("mean of all", [], [], mean_loss(losses)))
    return _Table("test top-1, %", "points", limit, limit, found, True, lambda loss: -loss, lambda mean: mean)


def _single_loss(pair: Pair, answers: tuple[Answers, Answers]) -> Loss:
    """Evidence from two single runs: image by image where the answers are known, else by the two counts."""
    old, new = (side.by_run.get(run.run_id) for side, run in zip(answers, pair, strict=True))
    if old is not None and new is not None:
        return answers_loss(old.correct, new.correct)
    size = num_test_images(pair[0])
    return counts_loss(*(round(_top1_pct(run) / 100 * size) for run in pair), trials=size)


def _top1_pct(run: RunRecord) -> float:
    """Accuracy as the share of test images that it is: records have it in fp32."""
    assert run.metrics is not None
    size = num_test_images(run)
    return 100 * round(run.metrics["test_top1_pct"] / 100 * size) / size


def _measured(rows: Sequence[MatchedRow], measure: Measure, limit: float, drift: Drift, *, is_judged: bool) -> _Table:
    """A measure of the runs that have it in both sets."""
    sign = 1 if measure.more_is_better else -1
    found: list[_Row] = []
    for row in rows:
        olds, news = ([pair[side] for pair in row.runs] for side in (0, 1))
        for part in dict.fromkeys(part for run in olds for part in measure.values(run)):
            before, now = (list(map(fmean, drift.processes(side, measure, part))) for side in (olds, news))
            if before and now:
                between = drift.between((olds, news), measure, part)
                better, worse = ([sign * value for value in side] for side in (before, now))
                label = f"{row.label}, {part}" if part else row.label
                found.append(_Row(label, before, now, ratio_loss(better, worse, between), between and between[0]))
    return _Table(
        measure.title,
        "%",
        limit,
        measure.limit(limit),
        found,
        is_judged,
        lambda loss: 100 * math.expm1(-sign * loss),
        math.exp,
    )
