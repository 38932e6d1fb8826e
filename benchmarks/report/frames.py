"""Table contents at full precision, with units in column names: the content of the CSV files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.records.record import RunRecord
from benchmarks.report.cells import Column, Entry, Frame, average, is_known
from benchmarks.report.columns import COST, accuracy_columns, throughput_columns
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import inert
from benchmarks.report.values import timed_batches

IDENTITY = ("dataset", "track", "num_train", "num_val", "budget", "variant", "model")
"""The first columns of every frame, even an empty one."""


@dataclass(frozen=True, slots=True)
class SectionFrames:
    """The frames of one section."""

    section: Section
    accuracy: Frame
    throughput: Frame
    cost: Frame
    per_class: Frame
    confusion: Frame

    @property
    def tables(self) -> dict[str, tuple[Frame, tuple[Column, ...]]]:
        """Frames by table name, each with its columns."""
        cut = re.compile("latency_(.*)_p50_ms")
        batches = [found[1] for name in self.throughput[0] if (found := cut.fullmatch(name))]
        return {
            "Accuracy": (self.accuracy, accuracy_columns()),
            "Throughput": (self.throughput, throughput_columns(batches)),
            "Cost": (self.cost, COST),
        }


def section_frames(section: Section, letters: Mapping[str, str] | None = None) -> SectionFrames:
    """All frames of a section, in its row order; `letters` as for `accuracy_columns`."""
    makers = (throughput_frame, cost_frame, per_class_frame, confusion_frame)
    return SectionFrames(section, accuracy_frame(section, letters), *(make(section) for make in makers))


def accuracy_frame(section: Section, letters: Mapping[str, str] | None = None) -> Frame:
    """Accuracy by configuration; `letters` as for `accuracy_columns`."""
    columns = accuracy_columns(letters)
    return _measured(section, section.rows, lambda row: columns)


def throughput_frame(section: Section) -> Frame:
    """Throughput, time and memory by configuration."""
    return _measured(section, section.rows, lambda row: throughput_columns(timed_batches(row)))


def cost_frame(section: Section) -> Frame:
    """FLOPs and roofline shares of each configuration whose operations were counted."""
    counted = [row for row in section.rows if any(record.cost for record in row.records)]
    return _measured(section, counted, lambda row: COST)


def per_class_frame(section: Section) -> Frame:
    """Precision, recall and F1 by configuration and class, means over runs."""
    cells = []
    for row in section.rows:
        for index, name in enumerate(class_names(row)):
            scores = [record.metrics["per_class"][index] for record in matching(row) if record.metrics]
            averages = {key: average(score[key] for score in scores) for key in ("precision", "recall", "f1")}
            cells.append((row, {"class": name, **averages, "support": scores[0]["support"]}))
    return rows_frame(section, cells)


def confusion_frame(section: Section) -> Frame:
    """Test images by configuration and true class (rows) and predicted class (columns), summed over runs."""
    cells = []
    for row in section.rows:
        names, runs = class_names(row), matching(row)
        for index, name in enumerate(names):
            counts = [record.metrics["confusion_matrix"][index] for record in runs if record.metrics]
            predicted = dict(zip(map(predicted_column, names), map(sum, zip(*counts, strict=True)), strict=True))
            cells.append((row, {"num_runs": len(runs), "true": name, **predicted}))
    return rows_frame(section, cells)


def rows_frame(section: Section, cells: Sequence[tuple[Row, Mapping[str, Any]]]) -> Frame:
    """A frame of arbitrary cells, each prefixed with its section's conditions and its row's identity."""
    at = section.conditions
    shared = {name: getattr(at, name) for name in IDENTITY[:4]}
    apart = {name: value for name, value in {"machine": at.machine, "torch": at.torch}.items() if value is not None}
    return _whole([{**shared, **_identity(row), **apart, **own} for row, own in cells])


def predicted_column(name: str) -> str:
    """Name of the column with test images predicted as a class."""
    return f"predicted {name}"


def class_names(row: Row) -> list[str]:
    """Class names of a row's first successful run; empty without one."""
    return _names(row.ok[0]) if row.ok else []


def matching(row: Row) -> list[RunRecord]:
    """The runs of a row with the classes of its first run, which alone can be summed."""
    return [record for record in row.ok if _names(record) == class_names(row)]


def csv(frames: Sequence[Frame]) -> str:
    """Concatenated frames as CSV, to six significant digits, which give the same bytes with any version of scipy.

    Text from records, such as a model's name, is neutralised against formula injection.
    """
    rows = _whole([row for frame in frames for row in frame])
    columns = list(rows[0]) if rows else IDENTITY
    # Keep Python objects: pandas would turn 256 beside None into 256.0.
    cells = [[_cell(value) for value in row.values()] for row in rows]
    return pd.DataFrame(cells, columns=columns, dtype=object).to_csv(index=False, lineterminator="\n")


def _names(record: RunRecord) -> list[str]:
    return [score["class"] for score in record.metrics["per_class"]] if record.metrics else []


def _measured(section: Section, rows: Sequence[Row], columns: Callable[[Row], Sequence[Column]]) -> Frame:
    """A frame of columns, without sparse ones that are empty."""
    frame = rows_frame(section, [(row, {column.key: column.of(row) for column in columns(row)}) for row in rows])
    sparse = {column.key for row in rows for column in columns(row) if column.sparse}
    left_out = {key for key in sparse if not is_known([row[key] for row in frame])}
    return [{key: value for key, value in row.items() if key not in left_out} for row in frame]


def _identity(row: Row) -> dict[str, Any]:
    return {"budget": row.config["recipe"]["budget"], "variant": row.label, "model": row.config["model"]}


def _whole(rows: Sequence[Entry]) -> list[Entry]:
    """Rows extended to the union of their keys."""
    keys = dict.fromkeys([*IDENTITY, *(key for row in rows for key in row)])
    return [{key: row.get(key) for key in keys} for row in rows]


def _cell(value: object) -> object:
    if isinstance(value, str):
        return inert(value)
    return float(f"{value:.6g}") if isinstance(value, float) else value
