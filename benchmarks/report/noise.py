"""The noise floor of a machine, from its A/A check, as a sentence below a table."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.records.machine import Machine
from benchmarks.records.selfcheck import Selfcheck, kind_of_all
from benchmarks.report.text import escape, significant

NOT_MEASURED = "The noise floor of this machine was not measured; `python -m benchmarks.selfcheck` measures it."


def between_rows(found: Selfcheck | None, machine: Machine) -> str:
    """For tables whose rows are from different processes."""
    if found is None or Machine.of(found["environment"]) != machine:
        return NOT_MEASURED
    between = found["between_processes"]
    pairs = "1 pair" if between["num_pairs"] == 1 else f"{between['num_pairs']:,} pairs"
    return (
        f"Noise floor of this machine ({_source(found)}, n = {pairs} of processes): differences below "
        f"{_floors(between['train_floor_pct_by_arm'])} in training and "
        f"{_floors(between['infer_floor_pct_by_arm'])} in inference are noise."
    )


def between_arms(found: Selfcheck | None, machine: Machine) -> str:
    """For tables of ratios between arms that took turns in one process."""
    if found is None or Machine.of(found["environment"]) != machine:
        return NOT_MEASURED
    within = found["within_process"]
    return (
        f"Noise floor of arms that take turns ({_source(found)}, n = {len(within['comparisons']):,} comparisons): "
        f"ratios within {significant(within['floor_pct'], 2)}% of 1 are noise; "
        f"{100 * within['false_difference_rate']:.1f}% of identical arms were found to differ (nominal rate 5%)."
    )


def _floors(by_arm: Mapping[str, float]) -> str:
    """`11% (cnn), 53% (mlp)`, the lowest first."""
    floors = sorted(by_arm.items(), key=lambda item: item[1])
    return ", ".join(f"{significant(floor, 2)}% ({escape(arm)})" for arm, floor in floors)


def _source(found: Selfcheck) -> str:
    kind = escape(" ".join(kind_of_all(found)))
    return f"A/A check, {found['measured_at'][:10]}{kind and f', {kind}'}"
