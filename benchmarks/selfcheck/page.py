"""The A/A check as text for a terminal: a table and its summary."""

from __future__ import annotations

from tabulate import tabulate

from benchmarks.records.selfcheck import Selfcheck, kind_of_all
from benchmarks.selfcheck.summary import is_within_level
from benchmarks.stats.intervals import Ratio

HEADERS = (
    "arm",
    "comparisons",
    "false differences",
    "floor within a process, %",
    "floor between processes, training, %",
    "floor between processes, inference, %",
)


def page(found: Selfcheck) -> str:
    """A table with one row per arm and one for all, the false-difference rate, and the definition of floors."""
    within, between = found["within_process"], found["between_processes"]
    rows = [_row(found, arm) for arm in found["settings"]["arms"]]
    total = [len(within["comparisons"]), within["num_different"], within["floor_pct"]]
    rows.append(["all", *total, between["train_floor_pct"], between["infer_floor_pct"]])
    return "\n\n".join([tabulate(rows, HEADERS, floatfmt=".2f"), _rate_text(found), _floors_text(found)])


def _row(found: Selfcheck, arm: str) -> list[str | int | float]:
    within, between = found["within_process"], found["between_processes"]
    own = [each for each in within["comparisons"] if each["arm"] == arm]
    return [
        arm,
        len(own),
        sum(Ratio(each["ratio"], each["low"], each["high"]).differs for each in own),
        within["floor_pct_by_arm"][arm],
        between["train_floor_pct_by_arm"][arm],
        between["infer_floor_pct_by_arm"][arm],
    ]


def _rate_text(found: Selfcheck) -> str:
    within = found["within_process"]
    verdict = "as expected" if is_within_level(within) else "TOO MANY: intervals on this machine are too narrow"
    return (
        f"False differences: {within['num_different']} of {len(within['comparisons'])} comparisons of identical arms, "
        f"{100 * within['false_difference_rate']:.1f}% (standard error {100 * within['standard_error']:.1f}); limit "
        f"{100 * within['largest_rate']:.1f}% (5% plus three standard errors): {verdict}."
    )


def _floors_text(found: Selfcheck) -> str:
    kind = ", ".join([*kind_of_all(found), found["settings"]["device"]])
    return (
        f"Floor: 95th percentile of differences between identical arms ({kind}). Within a process: |ratio - 1| over "
        f"{found['within_process']['num_rounds']} interleaved rounds. Between processes: faster over slower, minus 1, "
        f"of {found['between_processes']['num_pairs']} pairs."
    )
