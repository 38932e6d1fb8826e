"""What became worse by more than is allowed, what surely didn't, and what these runs can't decide."""

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
    """One row of one measure: before and now, the loss, and what follows.

    Attributes:
        num_before, num_now: seeds of an accuracy, processes of anything else; 0 of a mean over rows.
        before, now: the mean, geometric but for accuracy.
        loss: the estimate, as it is judged.
        noise: the deviation between seeds' differences in points, or between processes in percent, by which it was
            decided; None where it isn't known.
        p_value: of a loss within the limit, adjusted by Holm's method over all that is judged.
        verdict: `not judged` where the sides are of two machines.
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
    """All rows of a measure; the last of accuracy is the mean over them where there are several.

    Attributes:
        limit: in points or percent.
        largest_loss: the same as losses are.
        in_unit: a loss as a change, in points or in percent of before.
    """

    title: str
    unit: str
    limit: float
    largest_loss: float
    in_unit: Callable[[float], float]
    changes: Sequence[Change]

    def count(self, verdict: str) -> int:
        """How many rows have a verdict."""
        return sum(change.verdict == verdict for change in self.changes)


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


def _measured(rows: Sequence[MatchedRow], measure: Measure, limit: float, drift: Drift) -> Judgement:
    """A measure of the runs that have it in both sets."""
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
