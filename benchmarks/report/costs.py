"""What a configuration computes for an image, and how much of what the device can do it achieves."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from benchmarks.report.bound import infer_mfu_pct, infer_tflop_per_s, training_bound
from benchmarks.report.rows import Row


def cost_cells(row: Row) -> dict[str, Any] | None:
    """The cells of a row: counts of its model, and medians over the runs that count; None where no run has a count."""
    costs = [record.cost for record in row.records if record.cost]
    if not costs:
        return None
    bounds = [training_bound(record) for record in row.ok]
    precisions = dict.fromkeys(record.execution["precision"] for record in row.ok if record.execution)
    return {
        "num_params": max((record.num_params for record in row.records if record.num_params is not None), default=None),
        "forward_gmacs": _median(cost["forward_gmacs"] for cost in costs),
        "forward_gflops": _median(cost["forward_gflops"] for cost in costs),
        "training_gflops": _median(cost["training_gflops"] for cost in costs),
        "step_traffic_bytes": _median(bound.total_bytes for bound in bounds),
        "precision": ", ".join(precisions) or None,
        "train_tflop_per_s": _median(bound.achieved_tflop_per_s for bound in bounds),
        "train_mfu_pct": _median(bound.mfu_pct for bound in bounds),
        "train_flop_per_byte": _median(bound.flop_per_byte for bound in bounds),
        "train_bound_tflop_per_s": _median(bound.bound_tflop_per_s for bound in bounds),
        "train_bound_pct": _median(bound.bound_pct for bound in bounds),
        "infer_tflop_per_s": _median(infer_tflop_per_s(record.cost, record.throughput) for record in row.ok),
        "infer_mfu_pct": _median(infer_mfu_pct(record) for record in row.ok),
    }


def _median(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return median(present) if present else None
