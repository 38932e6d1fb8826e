"""Verdicts on matched rows: regressed beyond the limit, held, or not decided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    """One row of one measure: before, now, the loss and its verdict.

    Attributes:
        num_before, num_now: number of seeds (accuracy) or processes (other measures); 0 for a mean over rows.
        before, now: arithmetic mean of accuracy, geometric mean of other measures.
        loss: the estimated loss.
        noise: standard deviation between differences of seeds in points, or between processes in percent; None if
            unknown.
        p_value: for a loss within the limit, Holm-adjusted over all rows judged.
        verdict: `not judged` if the sides are of different machines.
    """

    label: str
    num_before: int = 0
    num_now: int = 0
    before: float | None = None
    now: float | None = None
    loss: Loss
    noise: float | None = None
    p_value: float | None = None
    verdict: Verdict | Literal["not judged"] = "not judged"


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """All rows of a measure; for accuracy of several rows, the last is their mean.

    Attributes:
        limit: in points or percent.
        largest_loss: the limit in the unit of losses.
        in_unit: converts a loss to a change in points, or in percent of before.
    """

    title: str
    unit: str
    limit: float
    largest_loss: float
    in_unit: Callable[[float], float]
    changes: Sequence[Change]

    def count(self, verdict: str) -> int:
        """Number of rows with a verdict."""
        return sum(change.verdict == verdict for change in self.changes)


def judge(
    matching: Matching, answers: tuple[Answers, Answers], *, limits: Mapping[str, float], drift: Drift
) -> list[Judgement]:
    """Judge accuracy, and each measure that has a limit, of matched rows.

    Losses of accuracy are estimated from differences over common seeds with the variance pooled over rows, or from
    test images for single runs; other losses from processes, with the drift of the arm on its machine. Model and tests
    are in `benchmarks.stats.regressions`. Mean accuracy over all rows is judged as well, which detects a small common
    loss; mean rates are not, since drift is shared by the rows of a machine.

    Args:
        matching: matched rows; only accuracy is judged if they are of different machines.
        answers: of the old and the new set.
        limits: largest acceptable losses by name.
        drift: of each arm.
    """
    rows = [row for row in matching.rows if row.runs]
    tables = [
        _accuracy(rows, answers, limits["accuracy"]),
        *(_measured(rows, one, limits[one.limited_by], drift) for one in MEASURES if one.limited_by in limits),
    ]
    judged = tables[:1] if matching.other_machine else tables
    all_of_them = [(change.loss, one.largest_loss) for one in judged for change in one.changes]
    found = iter(verdicts([loss for loss, _ in all_of_them], [largest for _, largest in all_of_them]))
    tables[: len(judged)] = [
        replace(
            one,
            changes=[
                replace(change, verdict=verdict, p_value=p_value)
                for change, (verdict, p_value) in zip(one.changes, found, strict=False)
            ],
        )
        for one in judged
    ]
    return [one for one in tables if one.changes]


def _accuracy(rows: Sequence[MatchedRow], answers: tuple[Answers, Answers], limit: float) -> Judgement:
    runs = [[(_top1_pct(old), _top1_pct(new)) for old, new in row.runs] for row in rows]
    losses = paired_losses([[new - old for old, new in pairs] for pairs in runs])
    losses = losses or [_single_loss(row.runs[0], answers) for row in rows]
    changes = [
        Change(
            label=row.label,
            num_before=len(pairs),
            num_now=len(pairs),
            before=fmean(old for old, _ in pairs),
            now=fmean(new for _, new in pairs),
            noise=None if loss.error is None else loss.error * math.sqrt(len(pairs)),
            loss=loss,
        )
        for row, pairs, loss in zip(rows, runs, losses, strict=True)
    ]
    if len(rows) > 1:
        changes.append(Change(label="mean of all", loss=mean_loss(losses)))
    return Judgement(
        title="test top-1, %",
        unit="points",
        limit=limit,
        largest_loss=limit,
        in_unit=lambda loss: -loss,
        changes=changes,
    )


def _single_loss(pair: Pair, answers: tuple[Answers, Answers]) -> Loss:
    """Loss between two single runs: paired by image if the answers are known, else from the two counts."""
    old, new = (side.by_run.get(run.run_id) for side, run in zip(answers, pair, strict=True))
    if old is not None and new is not None:
        return answers_loss(old.correct, new.correct)
    size = num_test_images(pair[0])
    return counts_loss(*(round(_top1_pct(run) / 100 * size) for run in pair), trials=size)


def _top1_pct(run: RunRecord) -> float:
    """Accuracy recomputed from image counts, since records hold it in fp32."""
    assert run.metrics is not None
    size = num_test_images(run)
    return 100 * round(run.metrics["test_top1_pct"] / 100 * size) / size


def _measured(rows: Sequence[MatchedRow], measure: Measure, limit: float, drift: Drift) -> Judgement:
    """Judge one measure, for the runs that have it in both sets."""
    sign = 1 if measure.more_is_better else -1
    changes: list[Change] = []
    for row in rows:
        olds, news = ([pair[side] for pair in row.runs] for side in (0, 1))
        for part in dict.fromkeys(part for run in olds for part in measure.values(run)):
            before, now = (list(map(fmean, drift.processes(side, measure, part))) for side in (olds, news))
            if before and now:
                between = drift.between((olds, news), measure, part)
                better, worse = ([sign * value for value in side] for side in (before, now))
                change = Change(
                    label=f"{row.label}, {part}" if part else row.label,
                    num_before=len(before),
                    num_now=len(now),
                    before=math.exp(fmean(before)),
                    now=math.exp(fmean(now)),
                    noise=None if between is None else 100 * math.expm1(between[0]),
                    loss=ratio_loss(better, worse, between),
                )
                changes.append(change)
    return Judgement(
        title=measure.title,
        unit="%",
        limit=limit,
        largest_loss=measure.limit(limit),
        in_unit=lambda loss: 100 * math.expm1(-sign * loss),
        changes=changes,
    )
