"""Pareto fronts of a section: which rows give the most accuracy for their cost, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from benchmarks.record import RunRecord
from benchmarks.report.answers import Answers
from benchmarks.report.frames import average, entries, rows_frame
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, details, escape, number, table
from benchmarks.stats.fronts import PricedRun, front_places

COSTS: Mapping[str, tuple[str, Callable[[RunRecord], float | None]]] = {
    "train_s": ("training time", lambda run: run.ledger["train_s"]),
    "latency_p50_ms": ("latency, batch 1", lambda run: run.latency["batch_1"]["p50_ms"] if _has_latency(run) else None),  # type: ignore[index]
    "num_params": ("parameters", lambda run: run.num_params),
    "peak_mem_mib": ("peak memory", lambda run: run.memory["peak_mem_mib"] if run.memory else None),
}
"""By the name of the column: what people call it, and where a record has it."""


def _has_latency(run: RunRecord) -> bool:
    return run.latency is not None and "batch_1" in run.latency


def fronts_frame(section: Section, answers: Answers) -> pd.DataFrame:
    """A row for each configuration and kind of cost that all of its runs know."""
    cells: list[tuple[Row, dict[str, Any]]] = []
    for cost, (_, get) in COSTS.items():
        priced = {row.label: _priced(row, answers, get) for row in section.rows}
        rows = [row for row in section.rows if priced[row.label]]
        if len(rows) < 2:
            continue
        for row, place in zip(rows, front_places([priced[row.label] for row in rows]), strict=True):
            cells.append((row, {
                "test_top1_pct": average(row.test_top1_pct),
                "cost": cost,
                "mean_cost": average(run.cost for run in priced[row.label]),
                "on_front": "yes" if place.on_front else "no",
                "front_probability": place.probability,
            }))  # fmt: skip
    return rows_frame(section, cells)


def _priced(row: Row, answers: Answers, get: Callable[[RunRecord], float | None]) -> list[PricedRun]:
    """A row's runs with their cost; none where some run's isn't known."""
    runs = []
    for record, top1_pct in zip(row.ok, row.test_top1_pct, strict=True):
        cost, found = get(record), answers.by_run.get(record.run_id)
        if cost is None:
            return []
        correct = None if found is None else found.correct
        runs.append(PricedRun(seed=record.seed, top1_pct=top1_pct, cost=float(cost), answers=correct))
    return runs


def fronts_text(frame: pd.DataFrame) -> list[str]:
    """A section's table of fronts, closed until clicked; nothing where it has fewer than two rows."""
    if frame.empty:
        return []
    shown = [cost for cost in COSTS if (frame["cost"] == cost).any()]
    lines = []
    for variant, group in frame.groupby("variant", sort=False):
        cells = {row["cost"]: row for row in entries(group)}
        top1 = number(group["test_top1_pct"].iloc[0], 2)
        lines.append([escape(str(variant)), top1, *(_cell(cells.get(cost)) for cost in shown)])
    text = table(["model", "test top-1, %", *(f"against {COSTS[cost][0]}" for cost in shown)], lines)
    caption = (
        "How probable it is that no other row is both more accurate and cheaper: the share of 2,000 resamples of seeds "
        "and test images in which the row is on the front; bold where it is on the front of the means as measured."
    )
    return [details("Fronts: the most accuracy for its cost", f"{text}\n\n{caption}")]


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return MISSING
    share = row["front_probability"]
    text = ("on" if row["on_front"] == "yes" else "off") if share is None else f"{100 * share:.0f}%"
    return f"**{text}**" if row["on_front"] == "yes" else text
