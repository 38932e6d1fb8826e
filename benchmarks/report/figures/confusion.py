"""Confusion matrices, and the difference between those of two rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.report.cells import Frame, by_variant
from benchmarks.report.figures.style import readable_on, titled
from benchmarks.report.frames import predicted_column
from fmnist_zoo.plotting.style import drawable, new_figure

SHADES, DIFFERENCES = "Blues", "PuOr"
"""Colour maps: one hue, and two hues safe for colour blindness."""
LIMIT_PCT = 10.0
"""Limit of the colour scale of differences, in points of a class."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Confusion:
    """A row's confusion matrix in percent of the true class: true classes (rows) by predicted classes (columns)."""

    label: str
    model: str
    num_runs: int
    class_names: tuple[str, ...]
    percent: NDArray[np.float64]


def confusions(frame: Frame) -> dict[str, Confusion]:
    """Confusion matrices by row label, in table order; a class without test images has zeros."""
    found: dict[str, Confusion] = {}
    for label, rows in by_variant(frame).items():
        names = tuple(str(row["true"]) for row in rows)
        counts = np.array([[row[predicted_column(name)] for name in names] for row in rows], dtype=float)
        sizes = counts.sum(axis=1, keepdims=True)
        percent = 100 * counts / np.where(sizes > 0, sizes, 1)
        runs, model = int(str(rows[0]["num_runs"])), str(rows[0]["model"])
        found[label] = Confusion(label=label, model=model, num_runs=runs, class_names=names, percent=percent)
    return found


def confusion_figure(matrix: Confusion, conditions: str) -> Figure:
    """The matrix as an annotated heat map. Call within `looks`."""
    of_runs = f", mean of {matrix.num_runs} seeds" if matrix.num_runs > 1 else ""
    figure, axes = _square(matrix.class_names, f"numbers: % of the true class{of_runs}")
    norm, colors = PowerNorm(0.4, 0, 100, clip=True), mpl.colormaps[SHADES]
    axes.pcolormesh(matrix.percent, cmap=SHADES, norm=norm, edgecolor="white", linewidth=0.5)
    for (row, column), value in np.ndenumerate(matrix.percent):
        if value > 0:
            _write(axes, row, column, f"{value:.1f}" if value < 99.95 else "100", readable_on(colors(norm(value))))
    titled(figure, f"{matrix.label}: confusion matrix on the test images", conditions)
    return figure


def difference_figure(first: Confusion, second: Confusion, conditions: str) -> Figure:
    """The first matrix minus the second, in points; a cell's colour shows the row that it favours.

    Call within `looks`.

    Raises:
        ValueError: their classes differ.
    """
    if first.class_names != second.class_names:
        raise ValueError(
            f"{first.label} and {second.label} were tested on different classes: compare rows of one dataset"
        )
    difference = first.percent - second.percent
    better = np.where(np.eye(len(difference), dtype=bool), difference, -difference)
    limit = max(1.0, min(LIMIT_PCT, float(np.abs(difference).max())))
    explained = "points of the true class; violet: favours the first, orange: the second"
    figure, axes = _square(first.class_names, explained)
    norm, colors = Normalize(-limit, limit, clip=True), mpl.colormaps[DIFFERENCES]
    axes.pcolormesh(better, cmap=DIFFERENCES, norm=norm, edgecolor="white", linewidth=0.5)
    for (row, column), value in np.ndenumerate(difference):
        if abs(value) >= 0.05:
            _write(axes, row, column, f"{value:+.1f}", readable_on(colors(norm(better[row, column]))))
    titled(figure, f"{drawable(first.label, 34)} minus {drawable(second.label, 34)}", conditions)
    return figure


def best_two(matrices: Sequence[Confusion]) -> tuple[Confusion, Confusion] | None:
    """The best rows of two models, else the best two rows, tested on the same classes; None if there are none."""
    for of_other_model in (True, False):
        for second in matrices[1:]:
            same_classes = second.class_names == matrices[0].class_names
            if same_classes and (second.model != matrices[0].model or not of_other_model):
                return matrices[0], second
    return None


def _square(class_names: Sequence[str], explained: str) -> tuple[Figure, Axes]:
    """Axes with a cell for each pair of classes, true classes from top to bottom."""
    count = len(class_names)
    side = 1.9 + 0.48 * count
    figure, axes = new_figure(max(6.8, side + 0.6), side)
    names = [drawable(name, 16) for name in class_names]
    places = [place + 0.5 for place in range(count)]
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names)
    axes.set(xlabel=f"predicted class\n({explained})", ylabel="true class", xlim=(0, count), ylim=(count, 0))
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return figure, axes


def _write(axes: Axes, row: int, column: int, text: str, color: str) -> None:
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=7.5, color=color)
