"""Point labels in nearby free places, without overlaps."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.figures.label_placement import FAR, Box, LabelArea, along
from fmnist_zoo.plotting.style import INK, MUTED, drawable

LABEL_PAD = 2.0
"""Padding around a label, in pixels."""
SIZE_PT = 8.5


def fix_layout(figure: Figure, axes: Axes) -> LabelArea:
    """The free area of axes, after freezing the layout, which would otherwise move the axes away from their labels."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    inside = axes.get_window_extent()
    return LabelArea(Box(inside.x0 + 2, inside.y0 + 2, inside.x1, inside.y1))


def label_point(axes: Axes, label: str, x: float, y: float, places: LabelArea) -> None:
    """Label a point (data coordinates) in the nearest free place, with a leader line if that is far away."""
    text = drawable(label)
    width, height = text_size(axes, text)
    at = to_pixels(axes, x, y)
    box = places.take_nearest(*at, width, height)
    write(axes, text, box, INK)
    if box is not None:
        end = box.nearest(*at)
        if math.dist(end, at) > FAR:
            ends = axes.transData.inverted().transform([at, end])
            axes.plot(ends[:, 0], ends[:, 1], "-", color=MUTED, linewidth=0.6, zorder=2)
            places.lines += along([at, end])


def write(axes: Axes, text: str, box: Box | None, color: str) -> None:
    """Write a text into its box; without a box it is omitted, since the table has it."""
    if box is None:
        return
    x, y = axes.transData.inverted().transform((box.left + LABEL_PAD, box.bottom + LABEL_PAD))
    background = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}  # over grid and lines
    axes.text(x, y, text, color=color, fontsize=SIZE_PT, va="bottom", ha="left", bbox=background, zorder=2.5)


def text_size(axes: Axes, text: str) -> tuple[float, float]:
    """Size of a label with padding, in pixels."""
    shown = axes.text(1.0, 1.0, text, fontsize=SIZE_PT, va="bottom", ha="left")
    extent = shown.get_window_extent()
    shown.remove()
    return extent.width + 2 * LABEL_PAD, extent.height + 2 * LABEL_PAD


def to_pixels(axes: Axes, x: float, y: float) -> tuple[float, float]:
    """Canvas coordinates of a data point."""
    across, up = axes.transData.transform((x, y))
    return float(across), float(up)
