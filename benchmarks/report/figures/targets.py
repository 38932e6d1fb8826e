"""Time to accuracy: validation accuracy reached by each row against training time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report.figures.style import RowLook, chosen, is_drawn, legend, row_looks, scale_log, titled
from fmnist_zoo.plotting.style import INK, MUTED, new_figure

Profiles = Mapping[str, Sequence[Mapping[str, Any]]]
"""Targets of each row in ascending order, by row label, in table order."""


def profiles_of(frame: Any) -> dict[str, list[dict[str, Any]]]:
    """The targets of each row, up to the first missed by its median run; without rows of unknown time."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame:
        profile = found.setdefault(row["variant"], [])
        missed_before = profile and profile[-1]["median_train_s"] is None
        if not missed_before and is_drawn(time_of(row)):
            profile.append(row)
    return {label: profile for label, profile in found.items() if profile}


def time_of(row: Mapping[str, Any]) -> Any:
    """Median seconds to a target, or their lower bound; None if both are unknown."""
    return row["median_train_s"] or row["more_than_train_s"]


def targets_figure(profiles: Profiles, conditions: str) -> Figure:
    """Targets against the median time to reach them, with an arrow for lower bounds.

    Call within `looks`.
    """
    models = {label: profile[0]["model"] for label, profile in profiles.items()}
    labels, note = chosen(models)
    shown = {label: profiles[label] for label in labels}
    looks_of = row_looks({label: models[label] for label in labels})
    figure, axes = new_figure(8.5, 4.6)
    for label, profile in shown.items():
        _draw(axes, profile, looks_of[label])
    times = [time_of(row) for profile in shown.values() for row in profile]
    scale_log(axes, "x", times)
    targets = sorted({row["target_val_top1_pct"] for profile in shown.values() for row in profile})
    axes.set_yticks(targets, [f"{target:g}" for target in targets])
    axes.margins(y=0.12)
    axes.set(xlabel="training time to the first epoch that reaches the target, s (median over runs)")
    axes.set_ylabel("target: validation top-1, %")
    handles = [looks_of[label].handle(label) for label in shown]
    censored = RowLook("white", ">", ":").handle("")
    censored.set_label("not reached by the end\nof training: lower bound")
    censored.set_color(MUTED)
    censored.set_markerfacecolor("white")
    legend(figure, [*handles, censored])
    titled(figure, "Time to accuracy", conditions, note)
    return figure


def _draw(axes: Axes, profile: Sequence[Mapping[str, Any]], look: RowLook) -> None:
    """A line through the targets reached by the median run, dotted up to the first one missed."""
    reached = [(row["median_train_s"], row["target_val_top1_pct"]) for row in profile if row["median_train_s"]]
    if reached:
        axes.plot(*zip(*reached, strict=True), **look.style(), zorder=3)
    last = profile[-1]
    if last["median_train_s"] is None:
        # The end of training may come before the median time to a lower target, which a higher one can't undercut.
        bound = max([last["more_than_train_s"], *(seconds for seconds, _ in reached[-1:])])
        end = (bound, last["target_val_top1_pct"])
        axes.plot(*zip(*[*reached[-1:], end], strict=True), ":", color=look.color, linewidth=1.2, zorder=2)
        axes.plot(*end, ">", color="white", markeredgecolor=look.color, markeredgewidth=1.4, markersize=7.0, zorder=3)
    for row in profile:
        if 0 < row["num_hits"] < row["num_runs"]:  # some of several seeds
            axes.annotate(
                f"{row['num_hits']}/{row['num_runs']}", (time_of(row), row["target_val_top1_pct"]), (7, -9),
                textcoords="offset points", fontsize=7.5, color=INK,
            )  # fmt: skip
