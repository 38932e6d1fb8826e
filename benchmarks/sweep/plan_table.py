"""A plan as a table for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tabulate import tabulate

from benchmarks.sweep.plan import Plan


def plan_table(plan: Plan, estimates: Iterable[Mapping[str, Any]]) -> str:
    """The variants of a plan with estimated training times."""
    rows, total_s = list[list[object]](), 0.0
    for variant, found in zip(plan.variants, estimates, strict=True):
        config = variant.config
        total_s += found.get("train_s", 0.0) * len(plan.seeds)
        error = " ".join(str(found.get("error")).partition("; its last lines")[0].split())[:200]
        rows.append(
            [
                variant.label,
                "-" if variant.num_params is None else f"{variant.num_params:,}",
                config["track"],
                config["recipe"]["budget"],
                config["recipe"]["batch_size"],
                found.get("how", "-"),
                len(plan.seeds),
                f"{found['train_s']:,.1f}" if "train_s" in found else f"{found['status']}: {error}",
            ]
        )
    headers = [
        "variant",
        "parameters",
        "track",
        "budget",
        "batch",
        "precision, engine",
        "seeds",
        "training, s per seed",
    ]
    table = tabulate(rows, headers, disable_numparse=True)
    num_runs = len(plan.variants) * len(plan.seeds)
    return (
        f"{table}\n\n{len(plan.variants)} variants, {num_runs} runs on {plan.device}: about {total_s:,.0f} s of "
        "training, estimated from a few steps of each; excludes process start, evaluation and measurements."
    )
