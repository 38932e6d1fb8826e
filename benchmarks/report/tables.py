"""Frames as the markdown tables that people read: sensible digits, units in the headers, a dash for what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.report.cells import Column, Frame, by_variant, in_tables
from benchmarks.report.frames import predicted_column
from benchmarks.report.text import escape, number, table

CONFUSIONS_SHOWN = 20
"""Of the best rows: GitHub cuts pages off at half a megabyte."""


def section_table(rows: Frame, columns: Sequence[Column], marks: Mapping[str, str]) -> str:
    """A table of one section; `marks` are footnote marks by configuration key."""
    cells = {"model": [escape(row["variant"]) + marks.get(row["config_key"], "") for row in rows]}
    shown, merged, words = in_tables(columns, rows), set[str](), set[str]()
    for column in shown:
        if column.key in merged:
            continue
        if (whole := column.merged) is not None:
            merged.update(whole.keys)
            cells[whole.title] = [whole.text(*(row[key] for key in whole.keys)) for row in rows]
            continue
        heading, texts = column.heading(rows), map(column.cell, rows)
        if column.is_word:
            words.add(heading)
        cells[heading] = [escape(text) for text in texts] if column.is_word else list(texts)
    return table(list(cells), list(zip(*cells.values(), strict=True)), words=words)


def class_table(frame: Frame, score: str) -> str:
    """One score (`precision`, `recall` or `f1`) in percent: a row for each configuration, a column for each class."""
    names = list(dict.fromkeys(row["class"] for row in frame))
    rows = []
    for variant, group in by_variant(frame).items():
        values = {row["class"]: row[score] for row in group}
        cells = [None if (value := values.get(name)) is None else 100 * value for name in names]
        rows.append([escape(variant), *(number(cell, 1) for cell in cells)])
    return table(["model", *map(escape, names)], rows)


def confusion_tables(frame: Frame) -> str:
    """A table of test images for each of the best configurations: rows are true classes, columns predicted ones."""
    parts = []
    groups = by_variant(frame)
    for variant, group in list(groups.items())[:CONFUSIONS_SHOWN]:
        names = [row["true"] for row in group]
        rows = [[escape(row["true"]), *(number(row[predicted_column(name)]) for name in names)] for row in group]
        num_runs = group[0]["num_runs"]
        summed = f", summed over {num_runs} seeds" if num_runs > 1 else ""
        headers = ["true \\ predicted", *map(escape, names)]
        parts.append(f"**{escape(variant)}**{summed}\n\n{table(headers, rows)}")
    if left_out := len(groups) - len(parts):
        parts.append(f"Those of {left_out:,} more rows are in [confusion.csv](confusion.csv).")
    return "\n\n".join(parts)
