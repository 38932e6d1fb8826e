"""Accuracy against a cost, with the front of the rows that give the most for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.drawn import MOST_LABELS, is_drawn, legend_of_models, scale_log, titled
from benchmarks.report.figures.labels import fix_layout, label_point, text_size, to_pixels, write
from benchmarks.report.frames import SectionFrames, entries
from benchmarks.report.placing import Box, Places, along, around
from fmnist_zoo.figures import INK, MUTED, model_look, new_figure

COSTS = ("train_s", "num_params")
"""Those that have a figure, by the key of their column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Priced:
    """A row: its accuracy with the ends of its 95% interval in percent, its cost, and whether it is on the front."""

    label: str
    model: str
    top1_pct: float
    low_pct: float
    high_pct: float
    cost: float
    on_front: bool


def priced_rows(part: SectionFrames, fronts: Sequence[Mapping[str, Any]], cost: str) -> list[Priced]:
    """The rows of a section whose cost is known, and is one.

    Args:
        part: of the section.
        fronts: rows of its frame of fronts.
        cost: one of `COSTS`.
    """
    accuracy = {row["variant"]: row for row in entries(part.accuracy)}
    return [
        Priced(
            label=row["variant"],
            model=row["model"],
            top1_pct=row["test_top1_pct"],
            low_pct=accuracy[row["variant"]]["test_top1_low_pct"],
            high_pct=accuracy[row["variant"]]["test_top1_high_pct"],
            cost=row["mean_cost"],
            on_front=row["on_front"] == "yes",
        )
        for row in fronts
        if row["cost"] == cost and is_drawn(row["mean_cost"])
    ]


def front_figure(rows: Sequence[Priced], cost: str, conditions: str) -> Figure:
    """A point for each row, and the front as a step through those that are on it. To be called in `looks`."""
    figure, axes = new_figure(8.0, 5.0)
    scale_log(axes, "x", [row.cost for row in rows])
    axes.set(xlabel=COLUMNS[cost].axis, ylabel=COLUMNS["test_top1_pct"].axis)
    titled(figure, f"Test accuracy against {COLUMNS[cost].called}", conditions)
    for row in rows:
        look = model_look(row.model)
        reach = [[row.top1_pct - row.low_pct], [row.high_pct - row.top1_pct]]
        axes.errorbar(
            row.cost, row.top1_pct, yerr=reach, fmt="none", ecolor=look.color, elinewidth=1.2, capsize=2.5, zorder=2
        )
        axes.plot(
            row.cost, row.top1_pct, look.marker, color=look.color, markeredgecolor=INK, markeredgewidth=0.6,
            markersize=7.0, zorder=3,
        )  # fmt: skip
    front = _draw_front(axes, rows)
    named = rows if len(rows) <= MOST_LABELS else [row for row in rows if row.on_front]  # the others: in the legend
    if len(named) < len(rows):
        legend_of_models(figure, {row.model: model_look(row.model).marker for row in rows})
    places = fix_layout(figure, axes)
    places.taken += [around(*to_pixels(axes, row.cost, row.top1_pct), 6.0) for row in rows]
    for row in rows:
        places.lines += along([to_pixels(axes, row.cost, end) for end in (row.low_pct, row.high_pct)])
    places.lines += along([to_pixels(axes, *corner) for corner in front])
    _name_front(axes, front[-1], places)
    for row in sorted(named, key=lambda row: (row.cost, row.top1_pct, row.label)):
        label_point(axes, row.label, row.cost, row.top1_pct, places)
    return figure


def _draw_front(axes: Axes, rows: Sequence[Priced]) -> list[tuple[float, float]]:
    """The most accuracy that each cost buys: level from each row of the front to the next; its corners."""
    best = sorted((row.cost, row.top1_pct) for row in rows if row.on_front)
    corners: list[tuple[float, float]] = []
    for cost, top1_pct in [*best, (axes.get_xlim()[1], best[-1][1])]:
        corners += [*([(cost, corners[-1][1])] if corners else []), (cost, top1_pct)]
    axes.plot(*zip(*corners, strict=True), "--", color=MUTED, linewidth=1.2, zorder=2)
    return corners


def _name_front(axes: Axes, end: tuple[float, float], places: Places) -> None:
    """Above the line, or below it, as far to the right as there is room."""
    width, height = text_size(axes, "front")
    x, y = to_pixels(axes, *end)
    boxes = [
        Box(right - width, bottom, right, bottom + height)
        for bottom in (y + 2, y - 2 - height)
        for right in range(int(x), int(x - 20 * width), -8)
    ]
    write(axes, "front", places.take_first(boxes), MUTED)
