"""The figure of `predict`: picture, model input and class probabilities."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray

from fmnist_zoo.files import write_atomically
from fmnist_zoo.plotting.style import GRID, MUTED, OTHER_COLORS, drawable, looks

SUFFIXES = (".svg", ".png", ".pdf")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Shown:
    """One row of the figure.

    Attributes:
        name: of the picture.
        original: the picture before conversion; None without one.
        pixels: the model's input.
        probabilities: of each class, from 0 to 1.
        label: the true class, if known.
    """

    name: str
    original: UInt8[ndarray, "height width 3"] | None
    pixels: UInt8[ndarray, "28 28"]
    probabilities: Sequence[float]
    label: int | None = None


def write_figure(shown: Sequence[Shown], class_names: Sequence[str], path: Path) -> None:
    """Draw all rows into a file of the format its suffix names; equal rows give equal bytes."""
    metadata: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
        ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }
    suffix = path.suffix.lower()
    with looks():
        buffer = io.BytesIO()
        predict_figure(shown, class_names).savefig(buffer, format=suffix[1:], metadata=metadata[suffix])
    write_atomically(path, buffer.getvalue())


def predict_figure(shown: Sequence[Shown], class_names: Sequence[str]) -> Figure:
    """One row per picture. Call it inside `looks`."""
    with_original = any(one.original is not None for one in shown)
    figure = Figure(figsize=(8.5 if with_original else 6.8, 2.3 * len(shown) + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    ratios = [1.0, 1.0, 1.9] if with_original else [1.0, 1.9]
    rows = figure.subplots(len(shown), len(ratios), squeeze=False, width_ratios=ratios)
    for one, row in zip(shown, rows, strict=True):
        seen, bars = row[-2:]
        if with_original:
            _show(row[0], one.original, drawable(one.name, 26))
        _show(seen, one.pixels, "model input" if with_original else drawable(one.name, 30))
        _draw_bars(bars, one, class_names)
    return figure


def _show(axes: Axes, picture: ndarray | None, title: str) -> None:
    """A picture in a thin frame; model input is drawn light on dark, as its values are."""
    if picture is not None:
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    axes.set_title(title, fontsize=8.5)
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=GRID)


def _draw_bars(axes: Axes, one: Shown, class_names: Sequence[str]) -> None:
    """A bar per class: the most probable in colour, the name of the true class (if known) in bold."""
    percent = [100 * probability for probability in one.probabilities]
    colors = [OTHER_COLORS[0] if value == max(percent) else MUTED for value in percent]
    bars = axes.barh(class_names, percent, 0.7, color=colors)
    axes.bar_label(bars, [f"{value:.1f}%" if value >= 0.05 else "" for value in percent], padding=3, fontsize=7.5)
    axes.set_xlim(0, 118)
    axes.set_xticks([0, 50, 100])
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=7.5, length=0)
    axes.grid(visible=False, axis="y")
    axes.set_title("probability, %", fontsize=8.5)
    if one.label is not None:
        axes.get_yticklabels()[one.label].set_fontweight("bold")
