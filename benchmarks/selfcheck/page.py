"""An A/A check as a table and sentences for a terminal."""

from __future__ import annotations

from tabulate import tabulate

from benchmarks.records.selfcheck import Selfcheck
from benchmarks.selfcheck.summary import is_within_level
from benchmarks.stats.intervals import Ratio

HEADERS = (
    "model",
    "comparisons",
    "false differences",
    "floor within a process, %",
    "floor between processes, training, %",
    "floor between processes, inference, %",
)


def page(found: Selfcheck) -> str:
    """One row a model, one for all, and what they say."""
    within, between = found["within_process"], found["between_processes"]
    rows = [_row(found, model) for model in found["settings"]["models"]]
    total = [len(within["comparisons"]), within["num_different"], within["floor_pct"]]
    rows.append(["all", *total, between["train_floor_pct"], between["infer_floor_pct"]])
    return "\n\n".join([tabulate(rows, HEADERS, floatfmt=".2f"), _rate_text(found), _floors_text(found)])


def _row(found: Selfcheck, model: str) -> list[str | int | float]:
    within, between = found["within_process"], found["between_processes"]
    own = [each for each in within["comparisons"] if each["model"] == model]
    return [
        model,
        len(own),
        sum(Ratio(each["ratio"], each["low"], each["high"]).differs for each in own),
        within["floor_pct_by_model"][model],
        between["train_floor_pct_by_model"][model],
        between["infer_floor_pct_by_model"][model],
    ]


def _rate_text(found: Selfcheck) -> str:
    within = found["within_process"]
    verdict = "as it should be" if is_within_level(within) else "TOO MANY: intervals on this machine promise too much"
    return (
        f"False differences: {within['num_different']} of {len(within['comparisons'])} comparisons of equal arms, "
        f"{100 * within['false_difference_rate']:.1f}% (standard error {100 * within['standard_error']:.1f}); up to "
        f"{100 * within['largest_rate']:.1f}% is 5% and three standard errors: {verdict}."
    )


def _floors_text(found: Selfcheck) -> str:
    settings = found["settings"]
    return (
        f"Floor: 95% of the differences between equals ({settings['precision']}, {settings['engine']}, "
        f"{settings['device']}) are smaller. Within a process: |ratio - 1| of comparisons of "
        f"{found['within_process']['num_rounds']} interleaved rounds. Between processes: the faster over the slower of "
        f"{found['between_processes']['num_pairs']} pairs, minus 1."
    )
