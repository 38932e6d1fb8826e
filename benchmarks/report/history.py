"""Learning curves as a frame: loss and accuracy by epoch, averaged over the runs of a row."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.report.cells import Column, Frame
from benchmarks.report.frames import rows_frame
from benchmarks.report.rows import Row, Section
from fmnist_zoo.history import EpochStats

VALUES = (
    Column("train_loss", lambda epoch: epoch["train_loss"], unit="nats", name="training loss"),
    Column("val_loss", lambda epoch: epoch["val_loss"], unit="nats", name="validation loss"),
    Column("train_top1_pct", lambda epoch: epoch["train_top1_pct"], unit="%", name="training top-1"),
    Column("val_top1_pct", lambda epoch: epoch["val_top1_pct"], unit="%", name="validation top-1"),
    Column(
        "loss_gap", lambda epoch: _difference(epoch["val_loss"], epoch["train_loss"]), unit="nats",
        name="validation minus training loss",
    ),
    Column(
        "top1_gap_pct", lambda epoch: _difference(epoch["train_top1_pct"], epoch["val_top1_pct"]), unit="points",
        name="training minus validation top-1",
    ),
)  # fmt: skip
"""Columns of an epoch, not of a row; a gap above 0 means that the model does better on its training images."""


def history_frame(section: Section) -> Frame:
    """A row for each configuration and each epoch that all of its runs completed.

    Columns: `epoch`, `elapsed_s` (training seconds so far, mean over runs), `num_runs`, and for each of `VALUES` the
    mean, minimum (`_low`) and maximum (`_high`) over runs; None if any run lacks the value.
    """
    return rows_frame(section, [(row, cells) for row in section.rows for cells in _epochs(row)])


def _epochs(row: Row) -> list[dict[str, Any]]:
    runs = [by_epoch for record in row.ok if (by_epoch := _by_epoch(record))]
    shared = sorted(set.intersection(*map(set, runs))) if runs else []
    cells = []
    for epoch in shared:
        entries = [by_epoch[epoch] for by_epoch in runs]
        elapsed = _known([entry["elapsed_s"] for entry in entries])
        own: dict[str, Any] = {
            "epoch": epoch, "elapsed_s": fmean(elapsed) if elapsed else None, "num_runs": len(runs),
        }  # fmt: skip
        for column in VALUES:
            values, name = _known([column.of(entry) for entry in entries]), column.key
            own[name] = fmean(values) if values else None
            own[f"{name}_low"], own[f"{name}_high"] = (min(values), max(values)) if values else (None, None)
        cells.append(own)
    return cells


def _by_epoch(record: RunRecord) -> dict[int, EpochStats]:
    return {entry["epoch"]: entry for entry in record.history}


def _known(values: list[float | None]) -> list[float]:
    """All values, or none if one is missing: a mean over the rest would not be comparable."""
    present = [value for value in values if value is not None]
    return present if len(present) == len(values) else []


def _difference(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else first - second
