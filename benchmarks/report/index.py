"""The index of machines: one line each, with a link to its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from urllib.parse import quote

from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord
from benchmarks.report.markdown import MARK
from benchmarks.report.rows import sections
from benchmarks.report.section import conditions_text
from benchmarks.report.text import MISSING, escape, number, significant, table

HEADERS = ("machine", "hardware", "memory, GiB", "runs", "ok", "conditions", "best model", "test top-1, %", "last run")
WORDS = ("hardware", "conditions", "best model")


def index_page(machines: Mapping[str, Sequence[RunRecord]]) -> str:
    """The README of the results folder, as Markdown.

    Args:
        machines: records by name of the machine's folder, at least one each.
    """
    rows = [_line(name, records) for name, records in sorted(machines.items())]
    intro = (
        "Each machine has a page of tables, made from one record per run. The best model is that of its first table; "
        "compare it only with models under the same conditions."
    )
    return f"{MARK}\n\n# Results by machine\n\n{intro}\n\n{table(HEADERS, rows, words=WORDS)}\n"


def _line(name: str, records: Sequence[RunRecord]) -> list[str]:
    parts = sections(records)
    counted = [record for section in parts for row in section.rows for record in row.records]
    latest = max(records, key=lambda record: record.started_at)
    hardware = latest.environment["hardware"]
    memory = hardware["gpu_memory_gib"] if hardware["gpu_name"] else hardware["memory_gib"]
    best = parts[0].rows[0]
    return [
        f"[{escape(name)}]({quote(name)}/README.md)",
        escape(Machine.of(latest.environment).title),
        significant(memory),
        number(len(counted)),
        number(sum(record.status == "ok" for record in counted)),
        conditions_text(parts[0].conditions),
        escape(best.label) if best.ok else MISSING,
        number(fmean(best.test_top1_pct) if best.ok else None, 2),
        latest.started_at[:10],
    ]
