"""Roofline plot: configurations below the roofs of their device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.records.schema import GEMM_PRECISIONS
from benchmarks.report.bound import GEMM_OF
from benchmarks.report.columns import COLUMNS
from benchmarks.report.figures.label_placement import Box, LabelArea, along, around
from benchmarks.report.figures.point_labels import fix_layout, label_point, text_size, to_pixels, write
from benchmarks.report.figures.style import MOST_LABELS, is_drawn, legend_of_models, titled
from benchmarks.report.frames import SectionFrames
from benchmarks.report.text import significant
from fmnist_zoo.plotting.style import INK, MUTED, model_color, new_figure

LINES = {"fp32": "-", "tf32": "-.", "bf16": "--", "fp16": ":"}
MARKERS = {"fp32": "o", "tf32": "s", "bf16": "D", "fp16": "^"}
SIGNS = {"fp32": "\u25cf", "tf32": "\u25a0", "bf16": "\u25c6", "fp16": "\u25b2"}
"""The markers as characters, for the labels of the roofs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A configuration: achieved training rate and arithmetic intensity."""

    label: str
    model: str
    gemm: str | None
    flop_per_byte: float
    tflop_per_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Roofs:
    """Measured peaks of the device: GEMM by number format (TFLOP/s), and copy bandwidth (GB/s)."""

    gemm_tflop_per_s: dict[str, float]
    copy_gb_per_s: float

    def ridge(self, gemm: str) -> float:
        """Ridge point of a number format, in FLOP/byte: bandwidth-bound below, compute-bound above."""
        return self.gemm_tflop_per_s[gemm] * 1e3 / self.copy_gb_per_s


def roofline_points(part: SectionFrames) -> list[Point]:
    """The rows with known intensity and achieved rate."""
    return [
        Point(
            label=row["variant"],
            model=row["model"],
            gemm=GEMM_OF.get(row["precision"]),
            flop_per_byte=row["train_flop_per_byte"],
            tflop_per_s=row["train_tflop_per_s"],
        )
        for row in part.cost
        if is_drawn(row["train_flop_per_byte"]) and is_drawn(row["train_tflop_per_s"])
    ]


def roofline_roofs(part: SectionFrames) -> Roofs | None:
    """The roofs for the number formats used by a section's rows, medians over runs; None if unknown."""
    used = {GEMM_OF.get(row["precision"]) for row in part.cost}
    measured = [record.roofline for row in part.section.rows for record in row.ok if record.roofline]
    copying = [rate for roofline in measured if is_drawn(rate := roofline["copy_gb_per_s"])]
    gemm = {}
    for name in GEMM_PRECISIONS:
        rates = [rate for roofline in measured if is_drawn(rate := roofline["gemm_tflop_per_s"].get(name))]
        if rates and name in used:
            gemm[name] = median(rates)
    return Roofs(gemm_tflop_per_s=gemm, copy_gb_per_s=median(copying)) if gemm and copying else None


def roofline_figure(points: Sequence[Point], roofs: Roofs, conditions: str) -> Figure:
    """Achieved TFLOP/s over arithmetic intensity, both logarithmic. Call within `looks`."""
    figure, axes = new_figure(8.0, 5.0)
    axes.set(xscale="log", yscale="log", xlabel=f"{COLUMNS['train_flop_per_byte'].axis} (at most)")
    axes.set_ylabel(COLUMNS["train_tflop_per_s"].axis)
    titled(figure, "Roofline of training", conditions)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(_limits([point.flop_per_byte for point in points] + [roofs.ridge(g) for g in roofs.gemm_tflop_per_s]))
    axes.set_ylim(_limits([point.tflop_per_s for point in points] + list(roofs.gemm_tflop_per_s.values())))
    for point in points:
        axes.plot(
            point.flop_per_byte,
            point.tflop_per_s,
            MARKERS.get(point.gemm or "", "o"),
            color=model_color(point.model),
            markeredgecolor=INK,
            markeredgewidth=0.6,
            markersize=7,
            zorder=3,
        )
    lines = _draw_roofs(axes, roofs)
    named = points if len(points) <= MOST_LABELS else []
    if not named:  # markers show number formats, so the legend has colours only
        legend_of_models(figure, dict.fromkeys((point.model for point in points), "o"))
    places = fix_layout(figure, axes)
    places.taken += [around(*to_pixels(axes, point.flop_per_byte, point.tflop_per_s), 6.0) for point in points]
    for line in lines:
        places.lines += along([to_pixels(axes, *corner) for corner in line])
    _label_roofs(axes, roofs, places)
    for point in sorted(named, key=lambda point: (point.flop_per_byte, point.tflop_per_s, point.label)):
        label_point(axes, point.label, point.flop_per_byte, point.tflop_per_s, places)
    return figure


def _draw_roofs(axes: Axes, roofs: Roofs) -> list[list[tuple[float, float]]]:
    """Draw the bandwidth slope up to the highest ridge, and each format's compute roof from its ridge on."""
    left, right = axes.get_xlim()
    highest = max(roofs.gemm_tflop_per_s.values())
    lines = []
    for name, rate in roofs.gemm_tflop_per_s.items():
        lines.append([(max(left, roofs.ridge(name)), rate), (right, rate)])
        axes.plot(*zip(*lines[-1], strict=True), LINES[name], color=MUTED, linewidth=1.4, zorder=2)
    lines.append([(left, left * roofs.copy_gb_per_s / 1e3), (highest * 1e3 / roofs.copy_gb_per_s, highest)])
    axes.plot(*zip(*lines[-1], strict=True), "-", color=MUTED, linewidth=1.4, zorder=2)
    return lines


def _label_roofs(axes: Axes, roofs: Roofs, places: LabelArea) -> None:
    """Label each roof above or below its line, as far to the right as possible."""
    area = places.area
    for name, rate in sorted(roofs.gemm_tflop_per_s.items(), key=lambda item: -item[1]):
        text = f"{SIGNS[name]} {name} GEMM: {significant(rate)} TFLOP/s"
        width, height = text_size(axes, text)
        _, y = to_pixels(axes, 1.0, rate)
        rows = (y + 3, y - 3 - height)
        boxes = [
            Box(right - width, bottom, right, bottom + height)
            for bottom in rows
            for right in range(int(area.right), int(area.left + width), -8)
        ]
        write(axes, text, places.take_first(boxes), MUTED)
    text = f"copy: {significant(roofs.copy_gb_per_s)} GB/s"
    width, height = text_size(axes, text)
    slope = [
        to_pixels(axes, intensity, intensity * roofs.copy_gb_per_s / 1e3)
        for intensity in _spread(*axes.get_xlim(), count=60)
    ]
    boxes = [Box(x + 6, y - height - 2, x + 6 + width, y - 2) for x, y in slope]  # to the lower right of the slope
    boxes += [Box(x - 6 - width, y + 2, x - 6, y + 2 + height) for x, y in slope]
    write(axes, text, places.take_first(boxes), MUTED)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Axis limits with room for labels."""
    return min(values) / 2.5, max(values) * 3


def _spread(low: float, high: float, *, count: int) -> list[float]:
    """Geometrically spaced numbers from `low` to `high`."""
    return [low * (high / low) ** (place / (count - 1)) for place in range(count)]
