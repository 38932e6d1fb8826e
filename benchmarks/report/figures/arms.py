"""Training throughput by precision and engine, one panel per model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.records.arms import Arm, ArmsRecord
from benchmarks.records.row_labels import variant_labels
from benchmarks.report.figures.style import Sketch, plain_number, quiet, titled
from benchmarks.stats.intervals import median_interval, paired_ratio
from fmnist_zoo.plotting.style import INK, drawable, model_color, new_panels

COLUMNS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedArm:
    """An arm as a bar: images per second with 95% interval (None for few rounds), and speed-up over the reference."""

    name: str
    img_per_s: float
    low_img_per_s: float | None
    high_img_per_s: float | None
    speedup: float
    parity: bool | None


def timed_arms(record: ArmsRecord) -> list[TimedArm]:
    """The timed arms of a comparison; empty if the reference or the batch size is unknown."""
    reference, batch_size = record.arms[0]["samples_step_ms"], record.config["recipe"].get("batch_size")
    if not reference or not isinstance(batch_size, int):
        return []
    return [_timed(arm, reference, batch_size) for arm in record.arms if arm["samples_step_ms"]]


def arms_sketch(comparisons: Sequence[ArmsRecord]) -> list[Sketch]:
    """The figure of all comparisons; empty if nothing was timed."""
    timed = [record for record in comparisons if timed_arms(record)]
    if not timed:
        return []
    labels = variant_labels([record.config for record in timed])
    alt = f"Training throughput by precision and engine, with intervals: {', '.join(labels)}"
    return [Sketch(kind="arms", name="precision-and-engine", alt=alt, draw=partial(arms_figure, timed))]


def arms_figure(comparisons: Sequence[ArmsRecord]) -> Figure:
    """Bars in each model's colour, with the speed-up over fp32 eager. Call within `looks`.

    Args:
        comparisons: each with at least one of `timed_arms`.
    """
    labels = variant_labels([record.config for record in comparisons])
    rows, columns = math.ceil(len(labels) / COLUMNS), min(COLUMNS, len(labels))
    most = max(len(timed_arms(record)) for record in comparisons)
    figure, panels = new_panels(
        9.5 if columns > 1 else 5.5, 0.8 + rows * (0.75 + 0.23 * most), rows=rows, columns=columns
    )
    for axes in panels[len(labels) :]:
        axes.set_visible(False)
    for axes, label, record in zip(panels, labels, comparisons, strict=False):
        _draw(axes, timed_arms(record), model_color(record.model))
        axes.set_title(drawable(label), fontsize=9.0)
        axes.set_xlabel("training, img/s (bars: 95% interval of the median)", fontsize=8.0)
    titled(figure, "Training throughput by precision and engine; x: speed-up over fp32 eager", _rounds(comparisons))
    return figure


def _draw(axes: Axes, arms: Sequence[TimedArm], color: str) -> None:
    places = range(len(arms))
    bars = axes.barh(places, [arm.img_per_s for arm in arms], 0.68, color=color, zorder=2)
    for bar, arm in zip(bars, arms, strict=True):
        if arm.parity is False:
            bar.set(facecolor="white", edgecolor=color, hatch="///")
        if arm.low_img_per_s is not None and arm.high_img_per_s is not None:
            reach = [[arm.img_per_s - arm.low_img_per_s], [arm.high_img_per_s - arm.img_per_s]]
            middle = bar.get_y() + bar.get_height() / 2
            axes.errorbar(
                arm.img_per_s, middle, xerr=reach, fmt="none", ecolor=INK, elinewidth=1.0, capsize=2, zorder=3
            )
        text = f"{arm.speedup:.2f}x" + (", fails parity" if arm.parity is False else "")
        right = max(arm.img_per_s, arm.high_img_per_s or 0.0)
        axes.annotate(
            text, (right, bar.get_y() + bar.get_height() / 2), (5, 0), textcoords="offset points", va="center",
            fontsize=8.0,
        )  # fmt: skip
    axes.set_yticks(places, [drawable(arm.name) for arm in arms])
    axes.tick_params(axis="y", labelsize=8.0)
    axes.invert_yaxis()
    quiet(axes, "y")
    axes.margins(x=0.16 if all(arm.parity is not False for arm in arms) else 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))  # more labels would overlap
    axes.xaxis.set_major_formatter(lambda value, _: plain_number(value))


def _timed(arm: Arm, reference: Sequence[float], batch_size: int) -> TimedArm:
    rates = [1e3 * batch_size / step_ms for step_ms in arm["samples_step_ms"]]
    low, high = median_interval(rates) or (None, None)
    parity: Mapping[str, object] | None = arm["parity"]
    return TimedArm(
        name=f"{arm['precision']} {arm['engine']}",
        img_per_s=1e3 * batch_size / median(arm["samples_step_ms"]),
        low_img_per_s=low,
        high_img_per_s=high,
        speedup=paired_ratio(arm["samples_step_ms"], reference).median,
        parity=None if parity is None else bool(parity["passed"]),
    )


def _rounds(comparisons: Sequence[ArmsRecord]) -> str:
    counts = sorted({len(record.arms[0]["samples_step_ms"]) for record in comparisons})
    return f"Arms of a model interleaved in one process, {' or '.join(map(str, counts))} rounds"
