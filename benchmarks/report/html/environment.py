"""Provenance of a machine's numbers, for the HTML page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.records.json_files import Problem
from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord
from benchmarks.report.provenance import date_range

PARTS = ("hardware", "software", "details")


def machine_content(name: str, records: Sequence[RunRecord], problems: Sequence[Problem]) -> dict[str, Any]:
    """A machine: hardware, software, data, and the runs with their dates and commands.

    Args:
        name: of its folder.
        records: of the runs shown in its tables, at least one.
        problems: unreadable files.
    """
    latest = max(records, key=lambda record: record.started_at)
    return {
        "name": name,
        "hardware": Machine.of(latest.environment).title,
        "num_runs": len(records),
        "num_ok": sum(record.status == "ok" for record in records),
        "dates": date_range(records),
        "facts": {part: _facts(records, lambda record, part=part: record.environment.get(part)) for part in PARTS},
        "data": _facts(records, _dataset),
        "commands": list(dict.fromkeys(record.command for record in sorted(records, key=lambda run: run.run_id))),
        "problems": [[problem.name, problem.reason] for problem in problems],
    }


def _facts(records: Sequence[RunRecord], get: Callable[[RunRecord], Any]) -> list[list[Any]]:
    """Each known field with its values and their numbers of runs, most frequent first."""
    parts: list[Mapping[str, Any]] = [dict(found) for record in records if (found := get(record))]
    names = dict.fromkeys(name for part in parts for name in part)
    facts = []
    for name in names:
        counts = Counter(text for part in parts if (text := _text(part.get(name))) is not None)
        if counts:
            facts.append([name, sorted(counts.items(), key=lambda item: (-item[1], item[0]))])
    return facts


def _dataset(record: RunRecord) -> dict[str, Any] | None:
    found = record.dataset
    return None if found is None else {**found, "class_names": ", ".join(found["class_names"])}


def _text(value: Any) -> str | None:
    if value is None or value in ([], {}):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in sorted(value.items()))
    return f"{value:g}" if isinstance(value, float) else str(value) if isinstance(value, str) else json.dumps(value)
