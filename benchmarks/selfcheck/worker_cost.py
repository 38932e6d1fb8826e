"""Cost of a worker process per variant, and per further seed.

The same tiny sweep of one variant and two seeds runs alternately in the current process, with everything imported, and
in a new worker (A B B A A B ...), so that drift of the machine affects both alike. The difference is the cost of
isolation per variant; that of the second seeds, per seed. The first round only measures the device and fills caches.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from benchmarks.measure.interleave import orders
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import Plan, make_plan
from benchmarks.sweep.run_once import Isolation
from benchmarks.sweep.runner import Runner

MODEL = "tutorial_mlp_128_64"
PLACES = {"in process": True, "worker": False}


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds of a sweep of two seeds: in total, and of the second seed's run."""

    variant_s: float
    second_seed_s: float


def measured(rounds: int) -> str:
    """A table from `rounds` rounds, each with one sweep in process and one in a worker."""
    options = RunConfig(
        models=(MODEL,), device="cpu", seeds=2, budget=("flops:1e9",), precision=("fp32",), engine=("eager",)
    )
    plan = make_plan(options)
    plan = replace(plan, measures=replace(plan.measures, limit_s=0.1))
    found: dict[str, list[Sample]] = {name: [] for name in PLACES}
    for number, order in enumerate(orders(list(PLACES), rounds + 1)):
        for name in order:
            sample = sweep(plan, in_process=PLACES[name])
            if number:
                found[name].append(sample)
    return page(found)


def sweep(plan: Plan, *, in_process: bool) -> Sample:
    """Run a plan of one variant and two seeds in an empty folder; RuntimeError if a run fails."""
    with tempfile.TemporaryDirectory() as folder:
        isolation = Isolation(in_process=in_process)
        runner = Runner(plan, RunConfig(out=Path(folder)), Display(), command="worker_cost", isolation=isolation)
        started = time.perf_counter()
        records = runner.run().records
        variant_s = time.perf_counter() - started
    if failed := [record.error for record in records if record.status != "ok"]:
        raise RuntimeError(f"a run to measure isolation failed: {failed[0]}")
    second_s = records[1].ledger["wall_s"]
    assert second_s is not None
    return Sample(variant_s, second_s)


def page(found: dict[str, list[Sample]]) -> str:
    """A table of both places and their difference: medians with the range of samples."""
    ways = {"a variant of two seeds, s": "variant_s", "its second seed, s": "second_seed_s"}
    rows = []
    for title, field in ways.items():
        here, there = ([getattr(sample, field) for sample in found[name]] for name in PLACES)
        differences = [worker - own for own, worker in zip(here, there, strict=True)]
        rows.append([title, *map(_spread, (here, there, differences))])
    rounds = len(found["worker"])
    table = tabulate(rows, ["", *PLACES, "cost of isolation"], disable_numparse=True)
    return f"{table}\n\nmedian [min, max] of {rounds} interleaved rounds"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"
