"""Frames as Markdown tables: rounded numbers, units in headers, a dash for missing values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.report.cells import Column, Frame, by_variant, in_tables
from benchmarks.report.frames import predicted_column
from benchmarks.report.text import escape, number, table

CONFUSIONS_SHOWN = 20
"""Confusion matrices on a page, of the best rows: GitHub truncates pages at half a megabyte."""


def section_table(rows: Frame, columns: Sequence[Column], marks: Mapping[str, str]) -> str:
    """One table of a section; `marks` are footnote marks by configuration key."""
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
    """One score (`precision`, `recall` or `f1`) in percent, by configuration (rows) and class (columns)."""
    names = list(dict.fromkeys(row["class"] for row in frame))
    rows = []
    for variant, group in by_variant(frame).items():
        values = {row["class"]: row[score] for row in group}
        cells = [None if (value := values.get(name)) is None else 100 * value for name in names]
        rows.append([escape(variant), *(number(cell, 1) for cell in cells)])
    return table(["model", *map(escape, names)], rows)


def confusion_tables(frame: Frame) -> str:
    """Confusion matrices of the best configurations, in test images: true classes by predicted classes."""
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
        parts.append(f"{left_out:,} more matrices are in [confusion.csv](confusion.csv).")
    return "\n\n".join(parts)
