"""Accuracy within each class."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.report.cells import Frame
from benchmarks.report.figures.style import legend, quiet, row_looks, titled
from fmnist_zoo.plotting.style import GRID, drawable, new_figure


def classes_figure(frame: Frame, labels: Sequence[str], conditions: str) -> Figure:
    """Recall by class (lines) and row (markers). Call within `looks`.

    Args:
        frame: scores by class of a section.
        labels: of the rows to draw.
        conditions: of the section, in words.
    """
    rows = [row for row in frame if row["variant"] in labels and row["recall"] is not None]
    names = list(dict.fromkeys(row["class"] for row in rows))
    looks_of = row_looks({row["variant"]: row["model"] for row in rows})
    figure, axes = new_figure(8.5, 1.5 + 0.36 * len(names))
    for place, name in enumerate(names):
        values = [100 * row["recall"] for row in rows if row["class"] == name]
        axes.plot([min(values), max(values)], [place, place], "-", color=GRID, linewidth=5.0, zorder=1)
    for label in labels:
        own = [row for row in rows if row["variant"] == label]
        axes.plot(
            [100 * row["recall"] for row in own], [names.index(row["class"]) for row in own], zorder=3,
            **looks_of[label].style(with_line=False, size_pt=7.0),
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [drawable(name, 24) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    quiet(axes, "y")
    sizes = sorted({row["support"] for row in rows})
    axes.set_xlabel(
        f"recall: test images of the class classified correctly, % (n = {' or '.join(f'{n:,}' for n in sizes)})"
    )
    legend(figure, [looks_of[label].handle(label, with_line=False) for label in labels])
    titled(figure, "Accuracy by class", conditions)
    return figure
