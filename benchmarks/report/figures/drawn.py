"""What all figures of a report have in common: their rows' looks, titles, legends and scales."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fmnist_zoo.figures import INK, drawable, model_look

MOST_ROWS = 40
"""Of a figure with a line of text for each row: the best ones."""
MOST_CURVES = 14
"""Of a figure whose rows are lines between each other."""
CHARACTERS_PER_INCH = 13
"""Of a title, on average."""

LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Tell rows of one model apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """A figure to be drawn.

    Attributes:
        kind: what it shows: where the page has it.
        name: of its files, without suffix, one of its section's own.
        alt: what it shows, in words, for those who can't see it.
        draw: makes it, to be called in `looks`.
    """

    kind: str
    name: str
    alt: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, slots=True)
class RowLook:
    """How a row is drawn: colour and marker are its model's, the line is its own among the rows of that model."""

    color: str
    marker: str
    line: Any

    def handle(self, label: str, *, with_line: bool = True) -> Line2D:
        """The row's entry in a legend."""
        return Line2D([], [], label=drawable(label, 34), **self.style(with_line=with_line))

    def style(self, *, with_line: bool = True, size_pt: float = 5.0) -> dict[str, Any]:
        """For matplotlib's `plot`."""
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.line if with_line else "none",
            "linewidth": 1.5,
            "markersize": size_pt,
            "markeredgecolor": INK,
            "markeredgewidth": 0.5,
        }


def row_looks(models: Mapping[str, str]) -> dict[str, RowLook]:
    """Looks by the label of a row, from the model of each; whatever the order of rows."""
    of_model: dict[str, list[str]] = defaultdict(list)
    for label in sorted(models):
        of_model[models[label]].append(label)
    found = {}
    for model, labels in of_model.items():
        look = model_look(model)
        for place, label in enumerate(labels):
            found[label] = RowLook(look.color, look.marker, LINES[place % len(LINES)])
    return found


def best_of_each_model(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The label of the first row of each model: rows are in the order of their accuracy."""
    first: dict[str, str] = {}
    for row in rows:
        first.setdefault(row["model"], row["variant"])
    return list(first.values())


def titled(figure: Figure, title: str, conditions: str, *, num_shown: int | None = None, num_rows: int = 0) -> None:
    """Head a figure with what it shows, and under which conditions that was measured.

    Args:
        figure: without other title.
        title: what it shows.
        conditions: of its section, in words.
        num_shown: rows that are drawn, of `num_rows`; it is said where some are not.
        num_rows: of the section.
    """
    room = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    left_out = f" (the best {num_shown} of {num_rows} rows)" if num_shown is not None and num_shown < num_rows else ""
    head = f"{drawable(title, room - len(left_out))}{left_out}"
    figure.suptitle(f"{head}\n{drawable(conditions, room)}", x=0.012, ha="left", fontsize=9.5)


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """To the right of all axes, where it covers nothing."""
    figure.legend(
        handles=handles,
        loc="outside right upper",
        frameon=False,
        fontsize=8.0,
        handlelength=3.0,
        labelspacing=0.7,
    )


def scale_log(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5, a little wider than the values, which are above 0."""
    axes.set(**{f"{which}scale": "log", f"{which}lim": (min(values) / 1.6, max(values) * 1.6)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = max(values) / min(values)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1e3 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))


def plain_number(value: float) -> str:
    """A tick's number: `0.05`, `20`, `5,000`, `2M`."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def quiet(axes: Axes, axis: Literal["x", "y"]) -> None:
    """No ticks and no grid along an axis that has names in place of numbers."""
    axes.grid(visible=False, axis=axis)
    axes.tick_params(axis=axis, length=0)


def file_name(text: str, identity: str | None = None) -> str:
    """A text as part of a file's name: itself where it is plain, else with a digest that keeps it apart from others.

    Args:
        text: a name, of any characters.
        identity: what it stands for, where the text doesn't say all of it.
    """
    plain = re.sub(r"[^0-9A-Za-z_.=-]+", "-", text)[:60].strip("-.")
    if plain == text and identity is None:
        return plain
    digest = hashlib.sha256((identity or text).encode("utf-8", "replace")).hexdigest()[:8]
    return f"{plain}-{digest}"


def is_drawn(value: float | None, *, above: float = 1e-9) -> TypeGuard[float]:
    """Whether a number is one that may have been measured: others would squeeze all that were."""
    return value is not None and above <= value <= 1e9
