"""Where the wall time of a run goes, as stacked bars."""

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
"""Made for every kind of colour vision (Nunez et al., 2018); no model has one of its colours."""


def ledger_rows(section: Section) -> list[Entry]:
    """The rows of a section whose ledger is whole."""
    rows = ledger_frame(section)
    return [row for row in rows if all(is_drawn(row[name], above=-1.0) for name in (*PARTS, "wall_s"))]


def ledger_figure(rows: Sequence[Mapping[str, Any]], conditions: str) -> Figure:
    """A bar for each row, its parts in the order of a run. To be called in `looks`.

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
    axes.set_xlabel(f"{COLUMNS['wall_s'].axis} (mean over its seeds)")
    axes.xaxis.set_major_formatter(lambda value, _: plain_number(value))
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8.0, handlelength=1.2)
    titled(figure, "Where the time goes", conditions, best_rows(len(shown), len(rows)))
    return figure
