"""Wall time of a run by phase, as stacked bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.report.cells import Entry
from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.style import MOST_ROWS, best_rows, is_drawn, plain_number, quiet, titled
from benchmarks.report.ledger import PARTS, ledger_frame
from benchmarks.report.rows import Section
from benchmarks.report.text import significant
from fmnist_zoo.plotting.style import drawable, new_figure

SHADES = "cividis"
"""Colour map safe for colour blindness (Nunez et al., 2018), without any model's colour."""


def ledger_rows(section: Section) -> list[Entry]:
    """The rows of a section with a complete ledger."""
    rows = ledger_frame(section)
    return [row for row in rows if all(is_drawn(row[name], above=-1.0) for name in (*PARTS, "wall_s"))]


def ledger_figure(rows: Sequence[Mapping[str, Any]], conditions: str) -> Figure:
    """A bar for each row, with phases in the order of a run. Call within `looks`.

    Args:
        rows: of the ledger frame, at least one.
        conditions: of the section, in words.
    """
    shown = rows[:MOST_ROWS]
    figure, axes = new_figure(8.5, 1.9 + 0.27 * len(shown))
    colors = mpl.colormaps[SHADES]([place / (len(PARTS) - 1) for place in range(len(PARTS))])
    lefts = [0.0] * len(shown)
    for name, color in zip(PARTS, colors, strict=True):
        seconds = [max(row[name], 0.0) for row in shown]
        axes.barh(range(len(shown)), seconds, 0.7, lefts, color=color, edgecolor="white", linewidth=0.4, label=name)
        lefts = [left + own for left, own in zip(lefts, seconds, strict=True)]
    for place, row in enumerate(shown):
        axes.annotate(
            significant(row["wall_s"]), (lefts[place], place), (4, 0), textcoords="offset points", va="center",
            fontsize=8.0,
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [drawable(row["variant"]) for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.margins(x=0.08)
    quiet(axes, "y")
    axes.set_xlabel(f"{COLUMNS['wall_s'].axis} (mean over seeds)")
    axes.xaxis.set_major_formatter(lambda value, _: plain_number(value))
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.0, handlelength=1.2)
    titled(figure, "Wall time by phase", conditions, best_rows(len(shown), len(rows)))
    return figure
