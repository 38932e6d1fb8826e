"""Common style of a report's figures: row looks, titles, legends and scales."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from fmnist_zoo.plotting.style import INK, drawable, model_look

MOST_ROWS = 40
"""Limit for figures with a line of text per row, which show the best ones."""
MOST_LABELS = 15
"""Limit for labelled points; with more, a legend of models replaces labels."""
MOST_CURVES = 8
"""Limit for figures with overlapping curves."""
CHARACTERS_PER_INCH = 12.5
"""Mean number of title characters per inch."""

LINES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))
"""Line styles that distinguish rows of the same model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """A figure to be drawn.

    Attributes:
        kind: its position on the page.
        name: file name without suffix, unique within the section.
        alt: alternative text.
        draw: draws the figure; call within `looks`.
    """

    kind: str
    name: str
    alt: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, slots=True)
class RowLook:
    """Appearance of a row: colour and marker of its model, and a line style of its own."""

    color: str
    marker: str
    line: Any

    def handle(self, label: str, *, with_line: bool = True) -> Line2D:
        """The row's entry in a legend."""
        return Line2D([], [], label=drawable(label, 34), **self.style(with_line=with_line))

    def style(self, *, with_line: bool = True, size_pt: float = 5.0) -> dict[str, Any]:
        """Keyword arguments for matplotlib's `plot`."""
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
    """Looks by row label, from the model of each row; independent of the order of rows."""
    of_model: dict[str, list[str]] = defaultdict(list)
    for label in sorted(models):
        of_model[models[label]].append(label)
    found = {}
    for model, labels in of_model.items():
        look = model_look(model)
        for place, label in enumerate(labels):
            found[label] = RowLook(look.color, look.marker, LINES[place % len(LINES)])
    return found


def best_of_each_model(models: Mapping[str, str]) -> list[str]:
    """The best row of each model, from models by row label, best row first."""
    first: dict[str, str] = {}
    for label, model in models.items():
        first.setdefault(model, label)
    return list(first.values())


def chosen(models: Mapping[str, str]) -> tuple[list[str], str]:
    """The rows drawn in a figure of overlapping curves, and a note for its title if rows are omitted.

    Args:
        models: by row label, best row first.
    """
    labels = list(models)
    if len(labels) <= MOST_CURVES:
        return labels, ""
    best = best_of_each_model(models)
    if len(best) > 1:
        return best[:MOST_CURVES], " (the best row of each model)"
    return labels[:MOST_CURVES], f" (the best {MOST_CURVES} of {len(labels)} rows)"


def titled(figure: Figure, title: str, conditions: str, note: str = "") -> None:
    """Add a title and the conditions of measurement to a figure.

    Args:
        figure: without a title.
        title: of the figure.
        conditions: of its section, in words.
        note: suffix of the title that is never truncated.
    """
    room = int(CHARACTERS_PER_INCH * figure.get_figwidth())
    head = f"{drawable(title, room - len(note))}{note}"
    figure.suptitle(f"{head}\n{drawable(conditions, room)}", x=0.012, ha="left", fontsize=9.5)


def best_rows(shown: int, rows: int) -> str:
    """Note for a title if a figure omits rows."""
    return f" (the best {shown} of {rows} rows)" if shown < rows else ""


def legend(figure: Figure, handles: Sequence[Line2D]) -> None:
    """A legend to the right of all axes."""
    figure.legend(
        handles=handles,
        loc="outside right center",
        frameon=False,
        fontsize=8.0,
        handlelength=3.0,
        labelspacing=0.7,
    )


def legend_of_models(figure: Figure, markers: Mapping[str, str]) -> None:
    """A legend of models in place of labels, from the marker of each model."""
    looks_of = {model: RowLook(model_look(model).color, markers[model], "-") for model in sorted(markers)}
    legend(figure, [look.handle(model, with_line=False) for model, look in looks_of.items()])


def scale_log(axes: Axes, which: Literal["x", "y"], values: Sequence[float]) -> None:
    """Set a logarithmic axis with plain tick numbers at 1, 2 and 5, a little wider than the (positive) values."""
    axes.set(**{f"{which}scale": "log", f"{which}lim": (min(values) / 1.6, max(values) * 1.6)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    decades = max(values) / min(values)
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < 1e3 else (1,)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))


def plain_number(value: float) -> str:
    """Tick label: `0.05`, `20`, `5,000`, `2M`."""
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def quiet(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Remove ticks and grid along an axis of names."""
    axes.grid(visible=False, axis=axis)
    axes.tick_params(axis=axis, length=0)


def is_drawn(value: float | None, *, above: float = 1e-9) -> TypeGuard[float]:
    """Whether a number is plausible: others would compress the scale."""
    return value is not None and above <= value <= 1e9


def readable_on(color: tuple[float, float, float, float]) -> str:
    """Ink or white, whichever has more contrast on a colour (WCAG 2.2, relative luminance)."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color[:3])
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    ink = 0.016  # of INK itself
    return INK if (luminance + 0.05) / (ink + 0.05) >= 1.05 / (luminance + 0.05) else "white"
