"""End summary of a sweep, for terminals of at least 60 columns and files."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size

from benchmarks.report.values import T_INTERVAL, rate_digits, top1_text
from benchmarks.sweep.display.base import Display, failure_line
from benchmarks.sweep.display.events import RankedRow, Ranking
from fmnist_zoo.cli.output import shortened, visible

SHOWN = 10
"""Most rows and failed runs shown; the rest are counted."""


def ending_lines(sweep: Display, event: Mapping[str, Any], width: int | None = None) -> list[str]:
    """Summary of `sweep_finished`, and why runs are not ok, including skipped runs."""
    records = [*sweep.plan.skipped, *sweep.records]
    bad = [failure_line(record) for record in records if record.status != "ok"]
    blocks = [[counts(sweep), *_indented([*bad[:SHOWN], *_more(bad)], width)]]
    for ranking in event["rankings"]:
        rows, title = ranking["rows"], f"Test accuracy, best first ({ranking['conditions']}):"
        below = [*_more(rows), _legend(rows[:SHOWN]), ranking["verdict"] or ""]
        blocks.append([*_wrapped(title, width), *_table(rows[:SHOWN], width), *_indented(below, width)])
    if chance := chance_lines(event["rankings"]):
        blocks.append([line for sentence in chance for line in _wrapped(visible(sentence), width)])
    if flags := event["flags"]:
        told = [f"{flag['kind']} in {flag['num_runs']} of {len(records)} runs: {flag['text']}" for flag in flags]
        title = "Flags (caveats and advice):"
        blocks.append([*_wrapped(title, width), *_indented(told, width)])
    blocks += [tables(sweep)] if records else []
    return [line for block in blocks for line in ("", *block)][1:]


def counts(sweep: Display) -> str:
    """Number of ok runs, including skipped ones."""
    records, left = [*sweep.plan.skipped, *sweep.records], len(sweep.runs) - len(sweep.records)
    good = sum(record.status == "ok" for record in records)
    return f"{good} of {len(records)} runs ok" + (f", {left} not done" if left else "")


def tables(sweep: Display) -> list[str]:
    """Location of the tables, if any."""
    return [f"tables: {sweep.tables}"] if sweep.plan.skipped or sweep.records else []


def chance_lines(rankings: Sequence[Ranking]) -> list[str]:
    """Rows with runs at chance level, and remedies."""
    return [
        f"{row['variant']} is at chance level in {row['num_runs_at_chance']} of {row['num_runs_ok']} runs: not "
        f"significantly better than always naming one class ({ranking['chance_pct']:.1f}%). Try another --lr or a "
        "larger --budget."
        for ranking in rankings
        for row in ranking["rows"]
        if row["num_runs_at_chance"]
    ]


def _more(things: Sequence[object]) -> list[str]:
    return [f"and {len(things) - SHOWN} more"] if len(things) > SHOWN else []


def _indented(texts: Sequence[str], width: int | None) -> list[str]:
    return [line for text in texts if text for line in _wrapped(visible(text), width, "  ")]


def _wrapped(text: str, width: int | None, indent: str = "") -> list[str]:
    """Text wrapped with a hanging indent; one line without a width."""
    if width is None:
        return [indent + text]
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=f"{indent}  ")


def _table(rows: Sequence[RankedRow], width: int | None) -> list[str]:
    """One line per row; long names are cut in the middle."""
    cells = [("", "model", "test %", "group", "img/s")]
    for place, row in enumerate(rows, start=1):
        low, high = row["test_top1_low_pct"], row["test_top1_high_pct"]
        accuracy = top1_text(row["test_top1_pct"], low, high, row["interval_95"])
        speed = rate_digits(row["train_img_per_s"], row["train_next_low_img_per_s"])
        cells.append((f"{place}.", visible(row["variant"]), accuracy, row["letters"] or "", speed))
    if not any(cell[3] for cell in cells[1:]):
        cells = [(*cell[:3], cell[4]) for cell in cells]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    if width is not None:
        widths[1] = max(5, min(widths[1], width - 2 - sum(widths) + widths[1] - 2 * (len(widths) - 1)))
    return [
        "  " + "  ".join(
            text.rjust(size) if index in (0, len(widths) - 1) else set_cell_size(shortened(text, size), size)
            for index, (text, size) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]  # fmt: skip


def _legend(rows: Sequence[RankedRow]) -> str:
    """Legend of the columns shown."""
    parts = ["img/s is training throughput, rounded to its uncertainty"]
    if any(row["letters"] for row in rows):
        parts.append("rows sharing a letter are not significantly different")
    kinds = {row["interval_95"] for row in rows}
    if T_INTERVAL in kinds:
        parts.append("± is the 95% interval of the mean over seeds")
    if kinds != {T_INTERVAL}:
        parts.append("[ ] is the 95% interval over test images, not over seeds")
    return f"{'; '.join(parts)}."
