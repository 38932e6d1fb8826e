"""The clock ledger as a frame: where the wall time of a row's runs went, in parts that people tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.report.cells import Frame, average
from benchmarks.report.frames import rows_frame
from benchmarks.report.rows import Row, Section

PARTS: Mapping[str, tuple[str, ...]] = {
    "start: import, data, model": ("import_s", "data_s", "build_s"),
    "choosing precision, engine": ("probe_s",),
    "first step (compile)": ("first_step_s",),
    "training": ("train_s",),
    "evaluation": ("eval_s",),
    "measuring speed": ("measure_s", "profile_s"),
    "writing and the rest": ("write_s", "other_s"),
}
"""What a figure shows, by its name, and the entries of the ledger that it adds up."""


def ledger_frame(section: Section) -> Frame:
    """A row for each configuration with a whole ledger: seconds of each of `PARTS` and of all, means over its runs."""
    return rows_frame(section, [(row, cells) for row in section.rows if (cells := _cells(row))])


def _cells(row: Row) -> dict[str, Any]:
    runs = [parts for record in row.ok if (parts := _parts(record))]
    if not runs:
        return {}
    return {"num_runs": len(runs), **{name: average(parts[name] for parts in runs) for name in (*PARTS, "wall_s")}}


def _parts(record: RunRecord) -> dict[str, float]:
    """Empty where the time of some part isn't known."""
    ledger: Mapping[str, Any] = {**record.ledger}
    if None in ledger.values():
        return {}
    sums = {name: sum(ledger[field] for field in fields) for name, fields in PARTS.items()}
    return {**sums, "wall_s": ledger["wall_s"]}
