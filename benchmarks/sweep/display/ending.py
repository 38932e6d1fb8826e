"""What a sweep found, when it ends: its rows ranked, with how sure the order is, its flags, and that as lines."""

from __future__ import annotations

import html
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.answers import Answers, read_answers
from benchmarks.report.columns import COLUMNS
from benchmarks.report.pairs import Group, letters, section_groups
from benchmarks.report.rows import Row, Section, sections
from benchmarks.report.section import conditions_text
from benchmarks.report.values import T_INTERVAL, interval, num_test_images, top1_text
from benchmarks.stats.intervals import wilson_interval
from benchmarks.sweep.display.events import FlagCount, RankedRow, Ranking
from benchmarks.sweep.display.lines import figure, shortened, visible

SHOWN = 10
"""Rows, runs that aren't ok, and names in a sentence; longer lists say how many more there are."""
MANY_RUNS = 100
"""Beyond, their answers aren't compared again: for hundreds of rows that takes long, and the page has it."""


def findings(records: Sequence[RunRecord], machine_dir: Path) -> dict[str, Any]:
    """Rankings and flags of a sweep's records, as `SweepFinished` has them."""
    rankings = [_ranking(section, machine_dir) for section in sections(records) if any(row.ok for row in section.rows)]
    return {"rankings": rankings, "flags": _flags(records)}


def at_chance(record: RunRecord) -> bool:
    """Whether a tested run may well have guessed: the 95% interval of its accuracy reaches down to `chance`.

    With 10,000 images of ten classes alike that is an accuracy below 10.6%: always naming one class gives 10%.
    """
    assert record.metrics is not None
    images = num_test_images(record)
    return wilson_interval(round(record.metrics["test_top1_pct"] / 100 * images), images)[0] <= chance(record)


def chance(record: RunRecord) -> float:
    """The share of test images that are of the most frequent class: what whoever always names it gets right."""
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
    }


def _verdict(section: Section, groups: Sequence[Group], reasons: Sequence[str]) -> str | None:
    """How sure it is which row is best; None where there is one alone."""
    first, *others = [row.label for row in section.rows if row.ok]
    if not others:
        return None
    if not groups:
        return "So many runs aren't compared here; the page has all pairs."
    if len(groups) > 1:
        return "Budgets or test sets differ from row to row: this is no ranking of architectures."
    comparison = groups[0].comparison
    if comparison.deviation is None:
        return "One seed each: no verdict, since another seed may turn a difference around; it takes --seeds 3."
    if comparison.letters is None:
        why = f" ({'; '.join(reasons)})" if reasons else ""
        return f"Not every two rows could be compared{why}; the page says which."
    tied = [pair.second for pair in comparison.pairs if pair.first == first and not pair.differs]
    if not tied:
        return f"{first} is better than every other row, over seeds and over test images."
    return f"{first} can't be told apart from {listed(tied)}."


def _flags(records: Sequence[RunRecord]) -> list[FlagCount]:
    """Flags by kind and advice, the most frequent first."""
    counts, texts = Counter[tuple[str, str | None]](), dict[tuple[str, str | None], str]()
    for record in records:
        for flag in {(flag["kind"], flag["advice"]): flag for flag in record.flags}.values():
            key = flag["kind"], flag["advice"]
            counts[key] += 1
            texts.setdefault(key, flag["advice"] or flag["evidence"])
    return [{"kind": key[0], "num_runs": count, "text": texts[key]} for key, count in counts.most_common()]


def listed(names: Sequence[str]) -> str:
    """`a, b and c`, of many the first."""
    shown = list(names[:SHOWN])
    shown += [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def chance_lines(rankings: Sequence[Ranking]) -> list[str]:
    """The rows at chance level; nothing where there are none."""
    return [
        f"{row['variant']} is at chance level in {row['num_runs_at_chance']} of {row['num_runs_ok']} runs, no better "
        f"than always naming one class ({ranking['chance_pct']:.1f}%): it has learned nothing yet. Try another --lr, "
        "or a larger --budget."
        for ranking in rankings
        for row in ranking["rows"]
        if row["num_runs_at_chance"]
    ]


def ending_lines(event: Mapping[str, Any], num_runs: int, width: int | None = None) -> list[str]:
    """Rankings, rows at chance level and flags of a `sweep_finished`, in so many columns."""
    lines: list[str] = []
    for ranking in event["rankings"]:
        lines += [*wrapped(f"Test accuracy, best first ({ranking['conditions']}):", width)]
        lines += _table(ranking["rows"], width)
        lines += [*wrapped(_legend(ranking["rows"]), width, "  "), *wrapped(ranking["verdict"] or "", width, "  "), ""]
    if chance := chance_lines(event["rankings"]):
        lines += [line for sentence in chance for line in wrapped(sentence, width)] + [""]
    if event["flags"]:
        lines.append("Flags, which say what makes figures worth less than they seem:")
        for flag in event["flags"]:
            lines += wrapped(f"{flag['kind']} in {flag['num_runs']} of {num_runs} runs: {flag['text']}", width, "  ")
        lines.append("")
    return lines


def wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Text in lines of so many columns, further lines indented; in one line where there is no width."""
    if width is None or not text:
        return [indent + text] if text else []
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _table(rows: Sequence[RankedRow], width: int | None) -> list[str]:
    """A line for each of the best rows; names are cut in their middle where they don't fit."""
    cells = [("", "model", "test %", "group", "img/s")]
    for place, row in enumerate(rows[:SHOWN], start=1):
        low, high = row["test_top1_low_pct"], row["test_top1_high_pct"]
        accuracy = top1_text(row["test_top1_pct"], low, high, row["interval_95"])
        speed = figure(row["train_img_per_s"], ",.0f")
        cells.append((f"{place}.", visible(row["variant"]), accuracy, row["letters"] or "", speed))
    if not any(cell[3] for cell in cells[1:]):
        cells = [(*cell[:3], cell[4]) for cell in cells]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths[1] = max(5, min(widths[1], width - 2 - sum(widths) + widths[1] - 2 * (len(widths) - 1)))
    lines = [
        "  " + "  ".join(
            set_cell_size(shortened(text, size), size) if index in (1, 2) else text.rjust(size)
            for index, (text, size) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]  # fmt: skip
    return lines + ([f"  and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else [])


def _legend(rows: Sequence[RankedRow]) -> str:
    """What the table's numbers are, of those that it has."""
    shown = rows[:SHOWN]
    parts = ["img/s is the speed of training"]
    if any(row["letters"] for row in shown):
        parts.append("rows that share a letter can't be told apart")
    kinds = {row["interval_95"] for row in shown}
    if T_INTERVAL in kinds:
        parts.append("± is the 95% interval of the mean over seeds")
    if kinds != {T_INTERVAL}:
        parts.append("[ ] is the 95% interval over test images, which says nothing of other seeds")
    return f"{'; '.join(parts)}."
