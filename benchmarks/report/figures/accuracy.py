"""Test accuracy by row, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.report.cells import Entry, Frame
from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.style import MOST_ROWS, best_rows, quiet, titled
from benchmarks.report.values import T_INTERVAL
from fmnist_zoo.plotting.style import INK, drawable, model_look, new_figure

WORDS = {True: "t over seeds (small dots)", False: "binomial over test images"}


def accuracy_rows(frame: Frame) -> list[Entry]:
    """The rows with an accuracy, in table order."""
    return [row for row in frame if row["test_top1_pct"] is not None]


def accuracy_figure(rows: Sequence[Mapping[str, Any]], seeds: Mapping[str, Sequence[float]], conditions: str) -> Figure:
    """A point and an interval for each row, the best on top. To be called in `looks`.

    Args:
        rows: of the accuracy frame, at least one.
        seeds: top-1 of each run, in percent, by the label of the row.
        conditions: of the section, in words.
    """
    shown = rows[:MOST_ROWS]
    figure, axes = new_figure(8.0, 1.5 + 0.25 * len(shown))
    for place, row in enumerate(shown):
        look, middle = model_look(row["model"]), row["test_top1_pct"]
        reach = [[middle - row["test_top1_low_pct"]], [row["test_top1_high_pct"] - middle]]
        axes.errorbar(
            middle, place, xerr=reach, fmt=look.marker, color=look.color, markeredgecolor=INK, markeredgewidth=0.6,
            markersize=6.5, elinewidth=2.0, capsize=3.0, zorder=3,
        )  # fmt: skip
        if len(own := seeds.get(row["variant"], ())) > 1:
            axes.plot(own, [place] * len(own), ".", color=INK, markersize=3.0, zorder=4)
        value = " ".join(filter(None, [f"{middle:.2f}", row["group"]]))
        axes.text(1.01, place, value, transform=axes.get_yaxis_transform(), va="center", fontsize=8.0)
    axes.set_yticks(range(len(shown)), [drawable(row["variant"]) for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    quiet(axes, "y")
    kinds = dict.fromkeys(WORDS[row["interval_95"] == T_INTERVAL] for row in shown)
    axes.set_xlabel(f"{COLUMNS['test_top1_pct'].axis} (95% interval: {' or '.join(kinds)})", fontsize=8.5)
    titled(figure, "Test accuracy", conditions, best_rows(len(shown), len(rows)))
    return figure
