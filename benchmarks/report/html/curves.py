"""Plot data of a set: for each row a point, learning curves and the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal, get_args, get_type_hints

import numpy as np

from benchmarks.records.schema import Ledger
from benchmarks.report.cells import Over, average
from benchmarks.report.columns import COLUMNS
from benchmarks.report.frames import SectionFrames
from benchmarks.report.rows import Row
from benchmarks.report.values import rate_texts
from benchmarks.stats.fronts import pareto_front
from fmnist_zoo.history import EpochStats

Curve = Literal["val_top1_pct", "train_top1_pct", "val_loss", "train_loss"]
CURVES: tuple[Curve, ...] = get_args(Curve)
LEDGER_PARTS = tuple(name for name in get_type_hints(Ledger) if name != "wall_s")
COSTS = [
    [key, COLUMNS[key].axis, "~g" if COLUMNS[key].unit == "s" else "~s"]
    for key in ("train_img_per_s", "infer_img_per_s", "train_s", "num_params")
]
"""Costs to plot accuracy against: key, axis title, and Plotly's tick format."""


def points(part: SectionFrames) -> list[dict[str, Any]]:
    """For each row its accuracy with interval, its costs, and the costs for which it is on the Pareto front."""
    accuracy, throughput = part.accuracy, part.throughput
    found: list[dict[str, Any]] = [
        {
            "top1_pct": good["test_top1_pct"],
            "low_pct": good["test_top1_low_pct"],
            "high_pct": good["test_top1_high_pct"],
            **{key: good[key] for key in ("num_seeds", "num_params", "train_s")},
            **{key: fast[key] for key in ("train_img_per_s", "infer_img_per_s")},
            "texts": rate_texts(fast),
            "fronts": [],
        }
        for good, fast in zip(accuracy, throughput, strict=True)
    ]
    for cost, *_ in COSTS:
        sign = -1 if COLUMNS[cost].better == "higher" else 1
        known = [point for point in found if point["top1_pct"] is not None and point[cost]]
        places = pareto_front(
            np.array([point["top1_pct"] for point in known]), np.array([sign * point[cost] for point in known])
        )
        for point, is_on_front in zip(known, places, strict=True):
            point["fronts"] += [cost] * bool(is_on_front)
    return found


def learning_curves(row: Row) -> dict[str, Any] | None:
    """Mean, minimum and maximum over a row's runs by epoch; None if no run has a history.

    Runs with a time budget may end in different epochs: curves end with the shortest.
    """
    histories = [record.history for record in row.ok if record.history]
    if not histories:
        return None
    num_epochs = min(map(len, histories))
    by_epoch = [[history[place] for history in histories] for place in range(num_epochs)]
    return {
        "num_runs": len(histories),
        "epoch": [epochs[0]["epoch"] for epochs in by_epoch],
        "elapsed_s": [average(epoch["elapsed_s"] for epoch in epochs) for epochs in by_epoch],
        **{name: _band(by_epoch, name) for name in CURVES},
    }


def _band(by_epoch: Sequence[Sequence[EpochStats]], name: Curve) -> dict[str, list[float | None]] | None:
    """Mean, minimum and maximum of one quantity by epoch; None if no epoch has it."""
    values = [[value for epoch in epochs if (value := epoch[name]) is not None] for epochs in by_epoch]
    if not any(values):
        return None
    return {
        "mean": [average(found) for found in values],
        "low": [min(found, default=None) for found in values],
        "high": [max(found, default=None) for found in values],
    }


def ledger(row: Row) -> list[float | None] | None:
    """Seconds by phase (`LEDGER_PARTS`), means over successful runs; None if there are none."""
    return [Over(fmean, f"ledger.{name}")(row) for name in LEDGER_PARTS] if row.ok else None
