"""What became worse by more than is allowed, and whether that is more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Literal

from benchmarks.compare.limits import Limits, NoiseFloor
from benchmarks.compare.matching import MatchedRow
from benchmarks.records.record import RunRecord
from benchmarks.report.answers import Answers
from benchmarks.report.values import num_test_images
from benchmarks.stats.blocks import holm
from benchmarks.stats.regressions import common_drop, fewer_right, lower_share, pooled_drops, slower

ALPHA = 0.05

Pair = tuple[RunRecord, RunRecord]
Verdict = Literal["regressed", "not shown", "ok"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One row of one metric: its means before and now, the change, and the evidence that it is a loss.

    Attributes:
        change: in points of accuracy, or in percent of the rate before.
        p_value: one-sided, adjusted by Holm's method over the rows of the metric; None where there is no evidence to
            be had either way.
        verdict: `not shown` is a loss beyond the limit that may be chance.
    """

    label: str
    num_seeds: int
    before: float | None
    now: float | None
    change: float
    p_value: float | None
    verdict: Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """All rows of a metric; the last is the mean over them where there are several."""

    metric: str
    unit: str
    limit: float
    floor: float | None
    changes: Sequence[Change]

    @property
    def num_regressed(self) -> int:
        """How many rows became worse by more than the limit and more than chance."""
        return sum(change.verdict == "regressed" for change in self.changes)


@dataclass(frozen=True, slots=True)
class _Measured:
    """What a metric has of one row: before and now by seed, the changes to be averaged, and a test for single runs."""

    label: str
    before: list[float]
    now: list[float]
    changes: list[float]
    single: Callable[[], float | None]


def judge(
    rows: Sequence[MatchedRow], answers: tuple[Answers, Answers], *, limits: Limits, floor: NoiseFloor | None
) -> list[Judgement]:
    """Judge accuracy and throughput of matched rows.

    A row has regressed if its loss reaches the limit, is above the machine's noise floor, and is significant at 0.05:
    by a t test over the seeds that both sets have, with the variance pooled over rows and Holm's correction over them;
    with one seed each by McNemar's test on the answers, or for rates by the samples of the two runs. The mean over all
    rows is judged with them, so that a loss which all share is found though none is sure by itself.

    Args:
        rows: from `match`.
        answers: of the old and of the new set.
        limits: losses that are too much.
        floor: of throughput on this machine; None where it isn't known.
    """
    accuracy = [_accuracy(row, answers) for row in rows if row.runs]
    found = [_judgement("test top-1", "points", accuracy, limits.accuracy, None, lambda mean: mean)]
    for name in ("train", "infer"):
        rates = [measured for row in rows if (measured := _rate(row, name)) is not None]
        noise = None if floor is None else floor.train_pct if name == "train" else floor.infer_pct
        title = "training, img/s" if name == "train" else "inference, img/s"
        found.append(_judgement(title, "%", rates, limits.throughput, noise, lambda mean: 100 * (math.exp(mean) - 1)))
    return [judgement for judgement in found if judgement.changes]


def _judgement(
    metric: str,
    unit: str,
    rows: Sequence[_Measured],
    limit: float,
    floor: float | None,
    in_unit: Callable[[float], float],
) -> Judgement:
    changes = [row.changes for row in rows]
    p_values: list[float | None] = [*(pooled_drops(changes) or [row.single() for row in rows]), common_drop(changes)]
    known = iter(holm([value for value in p_values if value is not None]))
    adjusted = [None if value is None else next(known) for value in p_values]
    lines = [
        Change(
            label=row.label,
            num_seeds=len(row.changes),
            before=fmean(row.before),
            now=fmean(row.now),
            change=in_unit(fmean(row.changes)),
            p_value=p_value,
            verdict="ok",
        )
        for row, p_value in zip(rows, adjusted, strict=False)
    ]
    if len(rows) > 1:
        mean = in_unit(fmean(fmean(row) for row in changes))
        seeds = sum(map(len, changes))
        lines.append(
            Change(
                label="mean of all",
                num_seeds=seeds,
                before=None,
                now=None,
                change=mean,
                p_value=adjusted[-1],
                verdict="ok",
            )
        )
    judged = [replace(line, verdict=_verdict(line, limit, floor)) for line in lines]
    return Judgement(metric=metric, unit=unit, limit=limit, floor=floor, changes=judged)


def _verdict(line: Change, limit: float, floor: float | None) -> Verdict:
    # A floor says how much faster the faster of two equal processes is, a loss how much slower the slower.
    hidden = 0.0 if floor is None else 100 * (1 - 1 / (1 + floor / 100))
    if -line.change < max(limit, hidden) - 1e-9:
        return "ok"
    return "regressed" if line.p_value is not None and line.p_value < ALPHA else "not shown"


def _accuracy(row: MatchedRow, answers: tuple[Answers, Answers]) -> _Measured:
    before, now = ([_top1_pct(pair[side]) for pair in row.runs] for side in (0, 1))
    changes = [new - old for old, new in zip(before, now, strict=True)]
    return _Measured(row.label, before, now, changes, lambda: _fewer_right(row.runs[0], answers))


def _fewer_right(pair: Pair, answers: tuple[Answers, Answers]) -> float:
    """Evidence from two single runs: image by image where the answers are known, else by the two counts."""
    old, new = (side.by_run.get(run.run_id) for side, run in zip(answers, pair, strict=True))
    if old is not None and new is not None:
        return fewer_right(old.correct, new.correct)
    size = num_test_images(pair[0])
    return lower_share(*(round(_top1_pct(run) / 100 * size) for run in pair), trials=size)


def _top1_pct(run: RunRecord) -> float:
    """Accuracy as the share of test images that it is: records have it in fp32."""
    assert run.metrics is not None
    size = num_test_images(run)
    return 100 * round(run.metrics["test_top1_pct"] / 100 * size) / size


def _rate(row: MatchedRow, name: str) -> _Measured | None:
    """A rate of the runs that measured it in both sets; None where none did."""
    pairs = [pair for pair in row.runs if _rate_of(pair[0], name) and _rate_of(pair[1], name)]
    if not pairs:
        return None
    before, now = ([_rate_of(pair[side], name) or 0.0 for pair in pairs] for side in (0, 1))
    changes = [math.log(new / old) for old, new in zip(before, now, strict=True)]
    return _Measured(
        row.label, before, now, changes, lambda: slower(_samples(pairs[0][0], name), _samples(pairs[0][1], name))
    )


def _rate_of(run: RunRecord, name: str) -> float | None:
    if run.throughput is None:
        return None
    return run.throughput["train_img_per_s"] if name == "train" else run.throughput["infer_img_per_s"]


def _samples(run: RunRecord, name: str) -> list[float]:
    """A run's samples of a rate, scaled so that their median is the rate that the record gives."""
    assert run.throughput is not None
    key = "train_samples_img_per_s" if name == "train" else "infer_samples_img_per_s"
    samples = run.throughput[key]
    return [sample * (_rate_of(run, name) or 0.0) / median(samples) for sample in samples] if samples else []
