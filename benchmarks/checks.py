"""Whether parsed JSON is a record of a run: its types, and what it says of itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_type_hints

from benchmarks.fits import fields_mismatch
from benchmarks.record import RUN_ID, RunRecord, config_key
from benchmarks.versions import SCHEMA_VERSION

ROUNDING_PCT = 0.1
"""Points by which an accuracy may differ from what is counted beside it; a changed digit that matters makes more."""
_STARTED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


def record_fault(content: Any) -> str | None:
    """Why parsed JSON is not a record of this schema version; None where it is one."""
    if not isinstance(content, dict) or not isinstance(version := content.get("schema_version"), int):
        return "not a record: no schema_version"
    if version != SCHEMA_VERSION:
        age = "newer" if version > SCHEMA_VERSION else "other"
        return f"schema version {version} is {age} than this program's {SCHEMA_VERSION}"
    kinds = _record_types()
    if unknown := sorted(set(content) - set(kinds)):
        return f"unknown field {', '.join(unknown)}"
    return fields_mismatch(content, kinds, "record") or _inconsistency(content)


def identity_fault(name: str, content: Mapping[str, Any]) -> str | None:
    """What is wrong with the `name` (a field), `started_at` and `config` of a record whose types are right."""
    if not RUN_ID.fullmatch(content[name]):
        return f"{name} {content[name]!r:.120} is not of the form START-MODEL-KEY-sSEED"
    if not _is_time(content["started_at"]):
        return f"started_at {content['started_at']!r:.60} is not a UTC time such as 2026-11-21T21:00:00Z"
    if not isinstance(content["config"]["recipe"].get("budget"), str):
        return "config.recipe has no budget"
    return None


def _inconsistency(content: dict[str, Any]) -> str | None:
    """What a record whose types are right says wrongly of itself."""
    if fault := identity_fault("run_id", content):
        return fault
    profile = content["profile"] or {}
    files = (content["predictions"], content["weights"], profile.get("page"), profile.get("trace"))
    if outside := [name for name in files if name is not None and not _stays_inside(name)]:
        return f"{outside[0]!r:.120} is not the name of a file in the machine's folder"
    if config_key(content["config"]) != content["config_key"]:
        return "config_key is not that of config: the configuration was changed afterwards"
    metrics = content["metrics"]
    if content["status"] == "ok" and metrics is None:
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


@functools.cache
def _record_types() -> dict[str, Any]:
    return get_type_hints(RunRecord)
