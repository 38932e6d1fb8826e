"""Data for the comparison of two sweeps: the runs of a set, of all days or of one, with a few numbers per row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.report.columns import COLUMNS
from benchmarks.report.frames import accuracy_frame, throughput_frame
from benchmarks.report.rows import Row, Section
from benchmarks.report.values import rate_texts

COMPARED = ("test_top1_pct", "test_top1_low_pct", "test_top1_high_pct", "num_seeds")
SPEEDS = ("train_img_per_s", "infer_img_per_s", "train_s", "wall_s", "peak_mem_mib")
RATES = [[key, COLUMNS[key].called.replace(" throughput", ""), COLUMNS[key].unit] for key in SPEEDS[:3]]
"""Rates shown side by side: key, name and unit."""


def sweeps(section: Section, title: str) -> list[dict[str, Any]]:
    """The latest runs of a section and, if there are several days, the runs of each day, including replaced ones.

    Args:
        section: of one machine.
        title: of the section.
    """
    found = [{"name": f"{title}: latest runs", "rows": _rows(section, section.rows)}]
    days = sorted({run.started_at[:10] for row in section.rows for run in (*row.records, *row.replaced)})
    if len(days) > 1:
        for day in days:
            rows = [part for row in section.rows if (part := _of_day(row, day)).records]
            found.append({"name": f"{title}: runs of {day}", "rows": _rows(section, rows)})
    return [sweep for sweep in found if sweep["rows"]]


def _of_day(row: Row, day: str) -> Row:
    """A row's latest run of each seed on one day (UTC)."""
    runs = sorted((*row.replaced, *row.records), key=lambda run: run.run_id)
    latest = {run.seed: run for run in runs if run.started_at[:10] == day}
    return replace(row, records=[run for _, run in sorted(latest.items())], replaced=[])


def _rows(section: Section, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The compared numbers of each row with a successful run."""
    part = Section(section.conditions, [row for row in rows if row.ok])
    accuracy, speed = accuracy_frame(part), throughput_frame(part)
    return [
        {
            "label": row.label,
            "model": row.config["model"],
            **{name: good[name] for name in COMPARED},
            **{name: fast[name] for name in SPEEDS},
            "texts": rate_texts(fast),
        }
        for row, good, fast in zip(part.rows, accuracy, speed, strict=True)
    ]
