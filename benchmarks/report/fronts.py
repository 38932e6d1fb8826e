"""Pareto fronts of a section: accuracy against cost, with bootstrap probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.answers import Answers
from benchmarks.report.cells import Column, Frame, Over, average, by_variant
from benchmarks.report.columns import COLUMNS
from benchmarks.report.frames import rows_frame
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, escape, number, part, protocol, table
from benchmarks.stats.fronts import PricedRun, front_places

COSTS: Mapping[str, Column] = {
    "train_s": COLUMNS["train_s"],
    "latency_p50_ms": COLUMNS["latency_batch_1_p50_ms"],
    "num_params": COLUMNS["num_params"],
    "peak_mem_mib": COLUMNS["peak_mem_mib"],
}
"""Cost columns by their name in the CSV file."""


def fronts_frame(section: Section, answers: Answers) -> Frame:
    """A row for each configuration and each cost known for all of its runs."""
    cells: list[tuple[Row, dict[str, Any]]] = []
    for cost, column in COSTS.items():
        assert isinstance(column.of, Over)
        priced = {row.label: _priced(row, answers, column.of) for row in section.rows}
        rows = [row for row in section.rows if priced[row.label]]
        if len(rows) < 2:
            continue
        for row, place in zip(rows, front_places([priced[row.label] for row in rows]), strict=True):
            cells.append((row, {
                "test_top1_pct": COLUMNS["test_top1_pct"].of(row),
                "cost": cost,
                "mean_cost": average(run.cost for run in priced[row.label]),
                "on_front": "yes" if place.on_front else "no",
                "front_probability": place.probability,
            }))  # fmt: skip
    return rows_frame(section, cells)


def _priced(row: Row, answers: Answers, cost_of: Over) -> list[PricedRun]:
    """A row's runs with their cost; empty if any cost is unknown."""
    runs = []
    for record, top1_pct in zip(row.ok, row.test_top1_pct, strict=True):
        cost, found = cost_of.of_run(record), answers.by_run.get(record.run_id)
        if cost is None:
            return []
        correct = None if found is None else found.correct
        runs.append(PricedRun(seed=record.seed, top1_pct=top1_pct, cost=float(cost), answers=correct))
    return runs


def fronts_text(frame: Frame) -> list[str]:
    """A section's table of fronts; empty for fewer than two rows."""
    if not frame:
        return []
    shown = [cost for cost in COSTS if any(row["cost"] == cost for row in frame)]
    lines = []
    for variant, group in by_variant(frame).items():
        cells = {row["cost"]: row for row in group}
        top1 = number(group[0]["test_top1_pct"], 2)
        lines.append([escape(variant), top1, *(_cell(cells.get(cost)) for cost in shown)])
    headers = ["model", COLUMNS["test_top1_pct"].axis, *(f"against {COSTS[cost].called}" for cost in shown)]
    text = table(headers, lines)
    caption = (
        "Probability that no other row is both more accurate and cheaper, over 2,000 resamples of seeds and test "
        f"images. Bold: on the front of the measured means. {protocol('measuring.md#fronts')}"
    )
    return [part("Pareto fronts: accuracy against cost", text, caption)]


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return MISSING
    share = row["front_probability"]
    text = ("on" if row["on_front"] == "yes" else "off") if share is None else f"{100 * share:.0f}%"
    return f"**{text}**" if row["on_front"] == "yes" else text
