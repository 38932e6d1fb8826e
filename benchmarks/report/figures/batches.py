"""Throughput by batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.records.schema import BatchPoint
from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.style import chosen, is_drawn, legend, plain_number, row_looks, titled
from benchmarks.report.rows import Section
from benchmarks.report.speed import swept_rows
from fmnist_zoo.plotting.style import new_panels

RING = 12.0
"""Size of the ring around a knee, in points."""


def batches_figure(section: Section, conditions: str) -> Figure:
    """Images per second in training and inference by batch size, with rings around knees. Call within `looks`.

    Args:
        section: with at least one row in `swept_rows`.
        conditions: of the section, in words.
    """
    found = swept_rows(section)
    models = {row.label: row.config["model"] for row in section.rows if row.label in found}
    labels, note = chosen(models)
    looks_of = row_looks({label: models[label] for label in labels})
    figure, panels = new_panels(10.0, 4.2, columns=2)
    for axes, title in zip(panels, ("train", "infer"), strict=True):
        for label in labels:
            sweep = found[label]
            points = known(sweep["train"] if title == "train" else sweep["infer"])
            knee = sweep["train_knee"] if title == "train" else sweep["infer_knee"]
            axes.plot(list(points), list(points.values()), **looks_of[label].style())
            if knee in points:
                axes.plot(knee, points[knee], "o", color="none", markeredgecolor=looks_of[label].color, markersize=RING)
        axes.set(xscale="log", yscale="log", xlabel="batch size, images")
        axes.set_ylabel(COLUMNS[f"{title}_img_per_s"].axis.replace(" throughput", ""))  # which the title says
        axes.xaxis.set_major_locator(LogLocator(base=8.0))  # labels at every power of 4 would overlap
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: plain_number(value)))
    legend(figure, [looks_of[label].handle(label) for label in labels])
    title = "Throughput by batch size; ring: the smallest batch with 90% of the highest rate"
    titled(figure, title, conditions, note)
    return figure


def has_rates(section: Section) -> bool:
    """Whether training and inference each have a row measured at two batch sizes or more."""
    swept = swept_rows(section).values()
    return all(any(len(known(sweep[kind])) > 1 for sweep in swept) for kind in ("train", "infer"))


def known(points: Sequence[BatchPoint]) -> Mapping[int, float]:
    """Images per second by batch size, for the sizes that were measured."""
    return {
        point["batch_size"]: rate
        for point in points
        if is_drawn(rate := point["img_per_s"]) and point["batch_size"] > 0
    }
