"""Accuracy against a cost, with the Pareto front."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.cells import Entry, Frame
from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.label_placement import Box, LabelArea, along, around
from benchmarks.report.figures.point_labels import fix_layout, label_point, text_size, to_pixels, write
from benchmarks.report.figures.style import MOST_LABELS, is_drawn, legend_of_models, scale_log, titled
from benchmarks.report.frames import SectionFrames
from fmnist_zoo.plotting.style import INK, MUTED, model_look, new_figure

COSTS = ("train_s", "num_params")
"""Costs with a figure, by column key."""


def priced_rows(part: SectionFrames, fronts: Frame, cost: str) -> list[Entry]:
    """The rows of a section with a known, plausible cost: accuracy columns and `on_front`, yes or no.

    Args:
        part: the section's frames.
        fronts: its frame of fronts.
        cost: one of `COSTS`.
    """
    accuracy = {row["variant"]: row for row in part.accuracy}
    priced = [row for row in fronts if row["cost"] == cost and is_drawn(row["mean_cost"])]
    return [{**accuracy[row["variant"]], **row} for row in priced]


def front_figure(rows: Frame, cost: str, conditions: str) -> Figure:
    """A point for each row, and the front as a step function. Call within `looks`."""
    figure, axes = new_figure(8.0, 5.0)
    scale_log(axes, "x", [row["mean_cost"] for row in rows])
    axes.set(xlabel=COLUMNS[cost].axis, ylabel=COLUMNS["test_top1_pct"].axis)
    titled(figure, f"Test accuracy against {COLUMNS[cost].called}", conditions)
    for row in rows:
        look, x, y = model_look(row["model"]), row["mean_cost"], row["test_top1_pct"]
        reach = [[y - row["test_top1_low_pct"]], [row["test_top1_high_pct"] - y]]
        axes.errorbar(x, y, yerr=reach, fmt="none", ecolor=look.color, elinewidth=1.2, capsize=2.5, zorder=2)
        axes.plot(
            x, y, look.marker, color=look.color, markeredgecolor=INK, markeredgewidth=0.6, markersize=7.0, zorder=3
        )
    front = _draw_front(axes, rows)
    # The legend shows the models of unnamed points.
    named = [row for row in rows if len(rows) <= MOST_LABELS or row["on_front"] == "yes"]
    if len(named) < len(rows):
        legend_of_models(figure, {row["model"]: model_look(row["model"]).marker for row in rows})
    places = fix_layout(figure, axes)
    for row in rows:
        places.taken.append(around(*to_pixels(axes, row["mean_cost"], row["test_top1_pct"]), 6.0))
        ends = (row["test_top1_low_pct"], row["test_top1_high_pct"])
        places.lines += along([to_pixels(axes, row["mean_cost"], end) for end in ends])
    places.lines += along([to_pixels(axes, *corner) for corner in front])
    _name_front(axes, front[-1], places)
    for row in sorted(named, key=lambda row: (row["mean_cost"], row["test_top1_pct"], row["variant"])):
        label_point(axes, row["variant"], row["mean_cost"], row["test_top1_pct"], places)
    return figure


def _draw_front(axes: Axes, rows: Frame) -> list[tuple[float, float]]:
    """Draw the highest accuracy at each cost as a step function; returns its corners."""
    best = sorted((row["mean_cost"], row["test_top1_pct"]) for row in rows if row["on_front"] == "yes")
    corners: list[tuple[float, float]] = []
    for cost, top1_pct in [*best, (axes.get_xlim()[1], best[-1][1])]:
        corners += [*([(cost, corners[-1][1])] if corners else []), (cost, top1_pct)]
    axes.plot(*zip(*corners, strict=True), "--", color=MUTED, linewidth=1.2, zorder=2)
    return corners


def _name_front(axes: Axes, end: tuple[float, float], places: LabelArea) -> None:
    """Label the front above or below its line, as far to the right as possible."""
    width, height = text_size(axes, "front")
    x, y = to_pixels(axes, *end)
    boxes = [
        Box(right - width, bottom, right, bottom + height)
        for bottom in (y + 2, y - 2 - height)
        for right in range(int(x), int(x - 20 * width), -8)
    ]
    write(axes, "front", places.take_first(boxes), MUTED)
