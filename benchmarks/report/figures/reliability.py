"""Reliability diagram: how often predictions are right that are so and so sure."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from benchmarks.report.figures.drawn import legend, row_looks, titled
from benchmarks.report.frames import entries
from fmnist_zoo.figures import MUTED, new_panels

FEWEST = 20
"""A bin with fewer images says too little to be drawn: its share of right ones may be off by 20 points and more."""


def reliability_figure(frame: pd.DataFrame, labels: Sequence[str], conditions: str) -> Figure:
    """Accuracy over confidence, and below it how many images have which confidence. To be called in `looks`.

    Args:
        frame: bins of a section, in percent of 1.
        labels: of the rows to draw, each with bins in the frame.
        conditions: of the section, in words.
    """
    rows = [row for row in entries(frame) if row["variant"] in labels]
    looks_of = row_looks({row["variant"]: row["model"] for row in rows})
    figure, (above, below) = new_panels(7.5, 6.2, rows=2, sharex=True, height_ratios=[3, 1])
    above.plot([0, 100], [0, 100], "--", color=MUTED, linewidth=1.0)
    for label in labels:
        own = [row for row in rows if row["variant"] == label]
        drawn = [row for row in own if row["num_images"] >= FEWEST]
        sure, right = ([100 * row[name] for row in drawn] for name in ("mean_confidence", "accuracy"))
        above.plot(sure, right, **looks_of[label].style())
        total = sum(row["num_images"] for row in own)
        middles = [50 * (row["confidence_above"] + row["confidence_up_to"]) for row in own]
        shares = [100 * row["num_images"] / total for row in own]
        below.plot(middles, shares, **looks_of[label].style(size_pt=3.5))
    above.set(ylabel="of these classified right, %", xlim=(0, 102), ylim=(0, 102))
    below.set(xlabel="probability of the predicted class, %", ylabel="share of\ntest images, %")
    above.annotate("surer than right", (97, 72), color=MUTED, ha="right", fontsize=8.5)
    legend(figure, [looks_of[label].handle(label) for label in labels])
    titled(figure, f"Reliability: bins of equal width, those of {FEWEST} images and more", conditions)
    return figure
