"""Whether parsed JSON is a record of a run: its types, and what it says of itself."""

from __future__ import annotations

import functools
import re
from typing import Any, get_type_hints

from benchmarks.fits import fields_mismatch
from benchmarks.record import RUN_ID, RunRecord, config_key
from benchmarks.versions import SCHEMA_VERSION

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


def _inconsistency(content: dict[str, Any]) -> str | None:
    """What a record whose types are right says wrongly of itself."""
    if not RUN_ID.fullmatch(content["run_id"]):
        return f"run_id {content['run_id']!r:.120} is not of the form START-MODEL-KEY-sSEED"
    if not _STARTED_AT.fullmatch(content["started_at"]):
        return f"started_at {content['started_at']!r:.60} is not a UTC time such as 2026-11-21T21:00:00Z"
    if not isinstance(content["config"]["recipe"].get("budget"), str):
        return "config.recipe has no budget"
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
    return None


@functools.cache
def _record_types() -> dict[str, Any]:
    return get_type_hints(RunRecord)
