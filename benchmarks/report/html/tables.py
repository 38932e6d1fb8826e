"""The sortable tables of a set: formatted texts, and the values to sort by."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from benchmarks.report.cells import Column, Frame, in_tables
from benchmarks.report.frames import SectionFrames
from benchmarks.report.section import COST_CAPTION, throughput_caption
from benchmarks.report.text import MISSING


def section_tables(part: SectionFrames) -> list[dict[str, Any]]:
    """Tables of accuracy, throughput and, if operations were counted, cost of a section."""
    accuracy_caption = "Last-epoch test accuracy, mean over seeds, with its 95% interval."
    if any(row["group"] for row in part.accuracy):
        accuracy_caption += " Rows with a common letter are not significantly different."
    captions = (accuracy_caption, html.unescape(throughput_caption(part.section)), COST_CAPTION)
    return [
        table_content(name, frame, columns, caption)
        for (name, (frame, columns)), caption in zip(part.tables.items(), captions, strict=True)
        if frame
    ]


def table_content(name: str, rows: Frame, columns: Sequence[Column], caption: str) -> dict[str, Any]:
    """A table without empty columns: headings, and texts and sort keys by row."""
    texts = {column.key: [column.cell(row) for row in rows] for column in in_tables(columns, rows)}
    shown = [column for column in in_tables(columns, rows) if set(texts[column.key]) != {MISSING}]
    return {
        "name": name,
        "caption": caption,
        "columns": [{"title": column.heading(rows), "is_word": column.is_word} for column in shown],
        "labels": [row["variant"] for row in rows],
        "texts": [[texts[column.key][place] for column in shown] for place in range(len(rows))],
        "keys": [[row[column.key] for column in shown] for row in rows],
    }
