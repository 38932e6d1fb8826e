"""What is written in a figure and where, for tests that nothing lies on anything else or leaves the canvas."""

import itertools
from collections.abc import Iterator

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text

from benchmarks.report.figures.label_placement import Box, along
from fmnist_zoo.plotting.style import looks

SLACK = 0.5
"""Pixels by which boxes may touch: they are rounded."""
BETWEEN_TICKS = 4.0
"""Pixels between the numbers of an axis: nearer, they read as one."""


@looks()  # the number of ticks depends on the size of their labels
def written(figure: Figure) -> list[Text]:
    """Every text that is shown: titles, names of axes, ticks, legends, and what stands inside of axes."""
    ticks = {id(label) for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _labels(axis)}
    shown = [label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _shown_labels(axis)]
    others = [text for text in figure.findobj(Text) if id(text) not in ticks and _is_visible(text)]
    return [text for text in [*shown, *others] if text.get_text().strip() and text.get_visible()]


@looks()
def clashes(figure: Figure) -> list[str]:
    """What is wrong with the texts of a figure that is laid out: on each other, or beyond the canvas."""
    texts = [(text, _boxes(text)) for text in written(figure)]
    width, height = figure.canvas.get_width_height()
    canvas = Box(-SLACK, -SLACK, width + SLACK, height + SLACK)
    found = [f"{text.get_text()!r} leaves the canvas" for text, boxes in texts if not all(map(canvas.holds, boxes))]
    found += [clash for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for clash in _crowded(axis)]
    for place, (text, boxes) in enumerate(texts):
        for other, others in texts[place + 1 :]:
            if any(box.overlaps(another) for box in boxes for another in others):
                found.append(f"{text.get_text()!r} lies on {other.get_text()!r}")
    return found


def _crowded(axis: Axis) -> Iterator[str]:
    """Labels of ticks that are too near to their neighbours; those written aslant may come nearer."""
    labels = [label for label in _shown_labels(axis) if label.get_text().strip() and label.get_rotation() % 90 == 0]
    for label, other in itertools.pairwise(labels):
        extent, next_one = label.get_window_extent(), other.get_window_extent()
        across = max(next_one.x0 - extent.x1, extent.x0 - next_one.x1)
        up = max(next_one.y0 - extent.y1, extent.y0 - next_one.y1)
        if across < BETWEEN_TICKS and up < 0:
            yield f"{label.get_text()!r} touches {other.get_text()!r}"


def _labels(axis: Axis) -> list[Text]:
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return [label for tick in ticks for label in (tick.label1, tick.label2)]


def _shown_labels(axis: Axis) -> Iterator[Text]:
    """Those of ticks inside the limits: matplotlib keeps others that it doesn't draw."""
    low, high = sorted(axis.get_view_interval())
    if not axis.axes.get_visible():
        return
    for place, tick in zip(axis.get_majorticklocs(), axis.get_major_ticks(), strict=False):
        if low * (1 - 1e-9) - 1e-9 <= place <= high * (1 + 1e-9) + 1e-9 and tick.label1.get_visible():
            yield tick.label1


def _is_visible(text: Text) -> bool:
    return text.get_visible() and (text.axes is None or text.axes.get_visible())


def _boxes(text: Text) -> list[Box]:
    """The rectangle of a text; small ones along it where it is written aslant."""
    extent = text.get_window_extent()
    if text.get_rotation() % 90 == 0:
        return [Box(extent.x0 + SLACK, extent.y0 + SLACK, extent.x1 - SLACK, extent.y1 - SLACK)]
    return along([(extent.x0 + 4, extent.y0 + 4), (extent.x1 - 4, extent.y1 - 4)])
