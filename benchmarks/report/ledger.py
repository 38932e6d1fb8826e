"""The clock ledger as a frame: wall time of a row's runs by phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.report.cells import Frame, average
from benchmarks.report.frames import rows_frame
from benchmarks.report.rows import Row, Section

PARTS: Mapping[str, tuple[str, ...]] = {
    "startup: import, data, model": ("import_s", "data_s", "build_s"),
    "selecting precision, engine": ("probe_s",),
    "first step (compile)": ("first_step_s",),
    "training": ("train_s",),
    "evaluation": ("eval_s",),
    "benchmarking": ("measure_s", "profile_s"),
    "writing and other": ("write_s", "other_s"),
}
"""Phases shown in figures, each with the ledger entries that it sums."""


def ledger_frame(section: Section) -> Frame:
    """Seconds by phase (`PARTS`) and in total, means over runs, for each configuration with a complete ledger."""
    return rows_frame(section, [(row, cells) for row in section.rows if (cells := _cells(row))])


def _cells(row: Row) -> dict[str, Any]:
    runs = [parts for record in row.ok if (parts := _parts(record))]
    if not runs:
        return {}
    return {"num_runs": len(runs), **{name: average(parts[name] for parts in runs) for name in (*PARTS, "wall_s")}}


def _parts(record: RunRecord) -> dict[str, float]:
    """Seconds by phase; empty if any entry is unknown."""
    ledger: Mapping[str, Any] = {**record.ledger}
    if None in ledger.values():
        return {}
    sums = {name: sum(ledger[field] for field in fields) for name, fields in PARTS.items()}
    return {**sums, "wall_s": ledger["wall_s"]}
