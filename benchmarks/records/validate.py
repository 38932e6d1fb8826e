"""Whether a record whose types are right contradicts itself."""

from __future__ import annotations

import re
from datetime import datetime

from benchmarks.records.record import RUN_ID, RunRecord, config_key
from benchmarks.records.schema import Config

ROUNDING_PCT = 0.1
"""Points by which an accuracy may differ from what is counted beside it; a changed digit that matters makes more."""
_STARTED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


def identity_fault(name: str, run_id: str, started_at: str, config: Config) -> str | None:
    """What is wrong with a record's identity, which has this `name`, its time or its configuration."""
    if not RUN_ID.fullmatch(run_id):
        return f"{name} {run_id!r:.120} is not of the form START-MODEL-KEY-sSEED"
    if not _is_time(started_at):
        return f"started_at {started_at!r:.60} is not a UTC time such as 2026-11-21T21:00:00Z"
    if not isinstance(config["recipe"].get("budget"), str):
        return "config.recipe has no budget"
    return None


def record_fault(record: RunRecord) -> str | None:
    """What a record says wrongly of itself; None where it is one."""
    if fault := identity_fault("run_id", record.run_id, record.started_at, record.config):
        return fault
    files = [record.predictions, record.weights]
    if record.profile is not None:
        files += [record.profile["page"], record.profile["trace"]]
    if outside := [name for name in files if name is not None and not _stays_inside(name)]:
        return f"{outside[0]!r:.120} is not the name of a file in the machine's folder"
    if config_key(record.config) != record.config_key:
        return "config_key is not that of config: the configuration was changed afterwards"
    metrics = record.metrics
    if record.status == "ok" and metrics is None:
        return "status is ok, but there are no metrics"
    if metrics is not None:
        size, matrix = len(metrics["per_class"]), metrics["confusion_matrix"]
        if not size or [len(row) for row in matrix] != [size] * size:
            return f"metrics.confusion_matrix is not {size} x {size}, as per_class has it"
        if not sum(map(sum, matrix)) > 0 or not 0 <= metrics["test_top1_pct"] <= 100:
            return "metrics count no test image, or test_top1_pct is not between 0 and 100"
        counted_pct = 100 * sum(matrix[index][index] for index in range(size)) / sum(map(sum, matrix))
        if abs(metrics["test_top1_pct"] - counted_pct) > ROUNDING_PCT:
            return f"test_top1_pct is {metrics['test_top1_pct']:g}, and the confusion matrix counts {counted_pct:g}"
    return None


def _is_time(text: str) -> bool:
    """Whether this is a UTC time as records write it, and one that the calendar has."""
    if not _STARTED_AT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _stays_inside(name: str) -> bool:
    """Whether a path leads to nothing outside the folder that it is relative to, on any system."""
    parts = name.split("/")
    return all(parts) and not {".", ".."} & set(parts) and not set("\\:\0") & set(name)
