"""Learning curves of loss and accuracy, and the gap between training and validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.style import RowLook, chosen, is_drawn, legend, row_looks, scale_log, titled
from benchmarks.report.history import VALUES
from fmnist_zoo.plotting.style import MUTED, new_panels

Curves = Mapping[str, Sequence[Mapping[str, Any]]]
"""Epochs by row label, in table order."""

PANELS, GAPS = VALUES[:4], VALUES[4:]
AXES = {"epoch": "epochs", "elapsed_s": COLUMNS["train_s"].axis}
"""Titles of the horizontal axis by column."""
FAR_APART = 10
"""Ratio of longest to shortest training from which the time axis is logarithmic."""


def curves_of(frame: Any) -> dict[str, list[dict[str, Any]]]:
    """The epochs of each row with two or more."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame:
        found.setdefault(row["variant"], []).append(row)
    return {label: epochs for label, epochs in found.items() if len(epochs) > 1 and all(map(_is_whole, epochs))}


def learning_figure(curves: Curves, x: str, conditions: str) -> Figure:
    """Loss and accuracy of training and, if any, validation; bands show the range over runs.

    Call within `looks`.

    Args:
        curves: at least one.
        x: `epoch` or `elapsed_s`.
        conditions: of the section, in words.
    """
    validated = _known(curves, "val_top1_pct")
    panels = PANELS if validated else PANELS[::2]
    figure, axes = new_panels(10.0, 6.0 if validated else 3.6, rows=len(panels) // 2, columns=2)
    shown, looks_of = _head(figure, curves, f"Learning curves over {AXES[x].partition(',')[0]}", conditions)
    for place, (panel, column) in enumerate(zip(axes, panels, strict=True)):
        name = column.key
        _draw(panel, shown, looks_of, x, name)
        panel.set_ylabel(column.axis)
        losses = [epoch[f"{name}_low"] for epochs in shown.values() for epoch in epochs]
        if name.endswith("_loss") and all(map(is_drawn, losses)):
            scale_log(panel, "y", [*losses, *(epoch[f"{name}_high"] for epochs in shown.values() for epoch in epochs)])
        if place >= len(panels) - 2:
            panel.set_xlabel(AXES[x])
    return figure


def gap_figure(curves: Curves, conditions: str) -> Figure:
    """Gap between training and validation by epoch. Call within `looks`."""
    figure, axes = new_panels(10.0, 3.6, columns=2)
    shown, looks_of = _head(figure, curves, "Gap between training and validation (rising: overfitting)", conditions)
    for panel, column in zip(axes, GAPS, strict=True):
        panel.axhline(0, color=MUTED, linewidth=1.0)
        _draw(panel, shown, looks_of, "epoch", column.key)
        panel.set(xlabel=AXES["epoch"], ylabel=column.axis)
    return figure


def has_gap(curves: Curves) -> bool:
    """Whether any row was validated."""
    return _known(curves, "top1_gap_pct")


def has_seconds(curves: Curves) -> bool:
    """Whether all epochs of all rows have known times."""
    return all(is_drawn(epoch["elapsed_s"]) for epochs in curves.values() for epoch in epochs)


def _is_whole(epoch: Mapping[str, Any]) -> bool:
    """Whether training loss and accuracy are known, and all numbers are plausible."""
    known = [value for value in (epoch[column.key] for column in VALUES) if value is not None]
    return epoch["train_loss"] is not None and epoch["train_top1_pct"] is not None and all(abs(x) <= 1e9 for x in known)


def _known(curves: Curves, name: str) -> bool:
    return any(epoch[name] is not None for epochs in curves.values() for epoch in epochs)


def _head(figure: Figure, curves: Curves, title: str, conditions: str) -> tuple[Curves, Mapping[str, RowLook]]:
    """Add title and legend to a figure; returns the rows to draw and their looks."""
    models = {label: epochs[0]["model"] for label, epochs in curves.items()}
    labels, note = chosen(models)
    looks_of = row_looks({label: models[label] for label in labels})
    titled(figure, title, conditions, note)
    legend(figure, [looks_of[label].handle(label) for label in labels])
    return {label: curves[label] for label in labels}, looks_of


def _draw(axes: Axes, curves: Curves, looks_of: Mapping[str, RowLook], x: str, name: str) -> None:
    """A line for each row, with a band from minimum to maximum if there are several runs."""
    shown: list[list[float]] = []
    for label, epochs in curves.items():
        known = [epoch for epoch in epochs if epoch[name] is not None]
        if not known:
            continue
        across = [epoch[x] for epoch in known]
        shown.append(across)
        every = max(1, len(known) // 8)
        axes.plot(across, [epoch[name] for epoch in known], markevery=every, **looks_of[label].style())
        if known[0]["num_runs"] > 1:
            low, high = ([epoch[f"{name}_{end}"] for epoch in known] for end in ("low", "high"))
            axes.fill_between(across, low, high, color=looks_of[label].color, alpha=0.2, linewidth=0)
    if x == "epoch":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    elif len(shown) > 1 and max(ends := [across[-1] for across in shown]) >= FAR_APART * min(ends):
        scale_log(axes, "x", [value for across in shown for value in across])
