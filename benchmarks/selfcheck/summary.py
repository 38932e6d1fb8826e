"""Statistics of an A/A check: false-difference rate and noise floors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from benchmarks.records.selfcheck import BetweenProcesses, Comparison, ProcessRates, WithinProcess
from benchmarks.stats.intervals import Ratio, paired_ratio

LEVEL = 0.05
"""Nominal false-difference rate of 95% intervals."""
FLOOR = 0.95
"""Quantile of differences between identical arms that defines the noise floor."""

Entry = TypeVar("Entry", Comparison, ProcessRates)


def comparison(arm: str, steps_per_sample: int, first_s: Sequence[float], second_s: Sequence[float]) -> Comparison:
    """The ratio of two identical arms, computed as for different arms.

    Args:
        arm: label of both.
        steps_per_sample: training steps in each sample.
        first_s: seconds of one arm, one sample per round.
        second_s: seconds of the other, in the same rounds.
    """
    ratio = paired_ratio(second_s, first_s)
    return {
        "arm": arm,
        "steps_per_sample": steps_per_sample,
        "first_s": list(first_s),
        "second_s": list(second_s),
        "ratio": ratio.median,
        "low": ratio.low,
        "high": ratio.high,
    }


def within_process(comparisons: Sequence[Comparison]) -> WithinProcess:
    """Rate and floors over comparisons (at least one), all with the same number of rounds."""
    different = sum(Ratio(each["ratio"], each["low"], each["high"]).differs for each in comparisons)
    size = len(comparisons)
    rate = different / size
    return {
        "num_rounds": len(comparisons[0]["first_s"]),
        "comparisons": list(comparisons),
        "num_different": different,
        "false_difference_rate": rate,
        "standard_error": standard_error(rate, size),
        "largest_rate": LEVEL + 3 * standard_error(LEVEL, size),
        "floor_pct": _ratio_floor_pct(comparisons),
        "floor_pct_by_arm": {arm: _ratio_floor_pct(each) for arm, each in _by_arm(comparisons).items()},
    }


def is_within_level(within: WithinProcess) -> bool:
    """Whether the false-difference rate exceeds 5% by at most three standard errors.

    The standard error is that of a true rate of 5%, the hypothesis under test; that of the observed rate would be 0
    without any difference, and grow with the rate.
    """
    return within["false_difference_rate"] <= within["largest_rate"]


def standard_error(share: float, trials: int) -> float:
    """Binomial standard error of a share of independent trials."""
    return math.sqrt(share * (1 - share) / trials)


def between_processes(processes: Sequence[ProcessRates]) -> BetweenProcesses:
    """Floors from the rates of fresh processes, at least two per arm."""
    by_arm = _by_arm(processes)
    train = {arm: _pair_differences_pct(each, lambda one: one["train_img_per_s"]) for arm, each in by_arm.items()}
    infer = {arm: _pair_differences_pct(each, lambda one: one["infer_img_per_s"]) for arm, each in by_arm.items()}
    return {
        "processes": list(processes),
        "num_pairs": sum(map(len, train.values())),
        "train_floor_pct": _floor(list(itertools.chain(*train.values()))),
        "infer_floor_pct": _floor(list(itertools.chain(*infer.values()))),
        "train_floor_pct_by_arm": {arm: _floor(differences) for arm, differences in train.items()},
        "infer_floor_pct_by_arm": {arm: _floor(differences) for arm, differences in infer.items()},
    }


def _by_arm(entries: Sequence[Entry]) -> Mapping[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry["arm"], []).append(entry)
    return found


def _ratio_floor_pct(comparisons: Sequence[Comparison]) -> float:
    return _floor([100 * abs(each["ratio"] - 1) for each in comparisons])


def _pair_differences_pct(processes: Sequence[ProcessRates], rate: Callable[[ProcessRates], float]) -> list[float]:
    """Faster over slower, minus 1, of each pair, in percent."""
    pairs = itertools.combinations(map(rate, processes), 2)
    return [100 * (max(pair) / min(pair) - 1) for pair in pairs]


def _floor(values: Sequence[float]) -> float:
    return float(np.quantile(values, FLOOR))
