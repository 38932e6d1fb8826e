"""Reliability diagram: accuracy against confidence."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.report.cells import Frame
from benchmarks.report.figures.style import legend, plain_number, row_looks, titled
from fmnist_zoo.plotting.style import MUTED, new_panels

FEWEST = 50
"""Fewest images of a drawn bin: with 50, chance alone moves its accuracy by 14 points (95%)."""


def reliability_figure(frame: Frame, labels: Sequence[str], conditions: str) -> Figure:
    """Accuracy against confidence, above the distribution of confidence. Call within `looks`.

    Args:
        frame: bins of a section; confidence and accuracy from 0 to 1.
        labels: of the rows to draw, each with bins in the frame.
        conditions: of the section, in words.
    """
    rows = [row for row in frame if row["variant"] in labels]
    looks_of = row_looks({row["variant"]: row["model"] for row in rows})
    figure, (above, below) = new_panels(8.5, 6.2, rows=2, sharex=True, height_ratios=[3, 1])
    above.plot([0, 100], [0, 100], "--", color=MUTED, linewidth=1.0)
    for label in labels:
        own = [row for row in rows if row["variant"] == label]
        drawn = [row for row in own if row["num_images"] >= FEWEST]
        sure, right = ([100 * row[name] for row in drawn] for name in ("mean_confidence", "accuracy"))
        above.plot(sure, right, **looks_of[label].style())
        total = sum(row["num_images"] for row in own)
        filled = [row for row in own if row["num_images"]]
        middles = [50 * (row["confidence_above"] + row["confidence_up_to"]) for row in filled]
        shares = [100 * row["num_images"] / total for row in filled]
        below.plot(middles, shares, **looks_of[label].style(size_pt=3.5))
    above.set(ylabel="accuracy, %", xlim=(0, 102), ylim=(0, 102))
    below.set(yscale="log", xlabel="confidence (probability of the predicted class), %", ylabel="share of\nimages, %")
    below.yaxis.set_major_locator(LogLocator())
    below.yaxis.set_minor_locator(NullLocator())
    below.yaxis.set_major_formatter(lambda value, _: plain_number(value))
    above.text(98, 6, "overconfident", color=MUTED, ha="right", fontsize=8.5)
    above.text(3, 94, "underconfident", color=MUTED, fontsize=8.5)
    legend(figure, [looks_of[label].handle(label) for label in labels])
    titled(figure, f"Reliability: bins of equal width with at least {FEWEST} images", conditions)
    return figure
