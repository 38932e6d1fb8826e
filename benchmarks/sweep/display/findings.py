"""Findings of a sweep: ranked rows with a verdict, rows at chance level, flags."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.answers import Answers, read_answers
from benchmarks.report.columns import COLUMNS
from benchmarks.report.pairs import Group, letters, section_groups
from benchmarks.report.rows import Row, Section, sections
from benchmarks.report.section import conditions_text
from benchmarks.report.values import interval, num_test_images
from benchmarks.stats.intervals import wilson_interval
from benchmarks.sweep.display.events import FlagCount, RankedRow, Ranking

NAMES_SHOWN = 5
"""Most names listed in a sentence."""
MANY_RUNS = 100
"""Above, rows are not compared again: that takes long for hundreds of rows, and the page has it."""


def findings(records: Sequence[RunRecord], machine_dir: Path) -> dict[str, Any]:
    """Rankings and flags of a sweep's records, for `SweepFinished`."""
    rankings = [_ranking(section, machine_dir) for section in sections(records) if any(row.ok for row in section.rows)]
    return {"rankings": rankings, "flags": _flags(records)}


def at_chance(record: RunRecord) -> bool:
    """Whether a run is at chance level: the 95% interval of its accuracy includes `chance`.

    With 10,000 images of ten balanced classes that is an accuracy below 10.6%: always naming one class gives 10%.
    """
    assert record.metrics is not None
    images = num_test_images(record)
    return wilson_interval(round(record.metrics["test_top1_pct"] / 100 * images), images)[0] <= chance(record)


def chance(record: RunRecord) -> float:
    """Share of the most frequent class in the test images: the accuracy of always naming it."""
    assert record.metrics is not None
    return max(map(sum, record.metrics["confusion_matrix"])) / num_test_images(record)


def _ranking(section: Section, machine_dir: Path) -> Ranking:
    runs = [record for row in section.rows for record in row.ok]
    answers = Answers() if len(runs) > MANY_RUNS else read_answers(RecordStore(machine_dir), runs)
    groups = [] if len(runs) > MANY_RUNS else section_groups(section, answers)
    found = letters(groups)
    return {
        "conditions": html.unescape(conditions_text(section.conditions)),
        "chance_pct": 100 * chance(runs[0]),
        "rows": [_ranked(row, found.get(row.config_key)) for row in section.rows if row.ok],
        "verdict": _verdict(section, groups, answers.reasons(runs)),
    }


def _ranked(row: Row, group: str | None) -> RankedRow:
    low, high, kind = interval(row)
    assert low is not None and high is not None and kind is not None
    return {
        "variant": row.label,
        "model": row.config["model"],
        "config_key": row.config_key,
        "num_runs_ok": len(row.ok),
        "num_runs_at_chance": sum(map(at_chance, row.ok)),
        "test_top1_pct": COLUMNS["test_top1_pct"].of(row),
        "test_top1_low_pct": low,
        "test_top1_high_pct": high,
        "interval_95": kind,
        "letters": group,
        "train_img_per_s": COLUMNS["train_img_per_s"].of(row),
        "train_low_img_per_s": COLUMNS["train_low_img_per_s"].of(row),
        "train_high_img_per_s": COLUMNS["train_high_img_per_s"].of(row),
        "train_next_low_img_per_s": COLUMNS["train_next_low_img_per_s"].of(row),
        "train_next_high_img_per_s": COLUMNS["train_next_high_img_per_s"].of(row),
    }


def _verdict(section: Section, groups: Sequence[Group], reasons: Sequence[str]) -> str | None:
    """Verdict on the best row; None for a single row."""
    first, *others = [row.label for row in section.rows if row.ok]
    if not others:
        return None
    if section.conditions.budget is None or len(groups) > 1:
        return "Budgets, recipes or test sets differ between rows: this does not rank architectures."
    if not groups:
        return "Too many runs to compare here; see the tables for all pairs."
    comparison = groups[0].comparison
    if comparison.deviation is None:
        return "No verdict from one seed each: the order may differ with other seeds. Use --seeds 3."
    if comparison.letters is None:
        why = f" ({'; '.join(reasons)})" if reasons else ""
        return f"Not all pairs of rows could be compared{why}; see the tables."
    if tied := [pair.second for pair in comparison.pairs if pair.first == first and not pair.differs]:
        names = [*tied[:NAMES_SHOWN], *([f"{len(tied) - NAMES_SHOWN} more"] if len(tied) > NAMES_SHOWN else [])]
        listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        return f"{first} is not significantly different from {listed}."
    return f"{first} is significantly better than {others[0] if len(others) == 1 else 'every other row'}."


def _flags(records: Sequence[RunRecord]) -> list[FlagCount]:
    """Flags by kind and advice, the most frequent first."""
    counts, texts = Counter[tuple[str, str | None]](), dict[tuple[str, str | None], str]()
    for record in records:
        for flag in {(flag["kind"], flag["advice"]): flag for flag in record.flags}.values():
            key = flag["kind"], flag["advice"]
            counts[key] += 1
            texts.setdefault(key, flag["advice"] or flag["evidence"])
    return [{"kind": key[0], "num_runs": count, "text": texts[key]} for key, count in counts.most_common()]
