"""Error rate and power of the regression gate, on simulated runs with known slowdowns.

`python -m benchmarks.stats.simulation` prints a table of both. It found, for a limit of 5%, the drift that two shared
cores had, three runs a side in processes of their own and an A/A check of six: rows slowed by 5, 10, 20 and 30% are
held in 5.1, 1.0, 0.1 and 0.0% of cases and found in 0.5, 5, 54 and 87%; where all models are slowed by as much, the
gate fails in 4, 39, 100 and 100% of comparisons, and in 0.5% where nothing is. With a tenth of that drift 98% of the
rows slowed by 10% are found, and 98% of those not slowed are held. Three seeds in one process are worth one run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmarks.stats.regressions import Loss, drift, ratio_loss, verdicts

DRIFT = {
    "mlp": ((0.080, 0.106), (0.041, 0.053)),
    "cnn": ((0.004, 0.060), (0.022, 0.043)),
    "unet_encoder": ((0.048, 0.046), (0.026, 0.027)),
    "lstm": ((0.101, 0.068), (0.211, 0.117)),
    "transformer": ((0.057, 0.085), (0.000, 0.056)),
}
"""For training and inference: standard deviation of logarithms between processes, and between runs of one. Measured
2026-11-28 and 29 on two cores of a shared EPYC (bf16 and bf16_weights, eager, Muon)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Distribution of two sets of runs, and prior knowledge.

    Attributes:
        num_processes: of each model on each side.
        num_runs: of each process.
        num_checked: processes per model in the A/A check, one measurement each.
        limit_pct: largest allowed slowdown.
        two_speeds: processes have one of two speeds, equally likely, same deviation: violates the rule's assumption.
        drift: see `DRIFT`.
    """

    num_processes: int = 3
    num_runs: int = 1
    num_checked: int = 6
    limit_pct: float = 5.0
    two_speeds: bool = False
    drift: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = field(default_factory=lambda: DRIFT)

    def processes(
        self, generator: np.random.Generator, deviations: tuple[float, float], number: int, runs: int
    ) -> list[float]:
        """Mean logarithms of processes with `runs` runs each."""
        between, within = deviations
        shape = generator.choice((-1.0, 1.0), number) if self.two_speeds else generator.standard_normal(number)
        return list(between * shape + within / math.sqrt(runs) * generator.standard_normal(number))


def simulate_gate(
    *, slowdown_pct: float, slowed: Collection[str], num_repetitions: int, gate: Gate = Gate(), seed: int = 0
) -> Counter[str]:
    """Draw comparisons and judge each as `benchmarks.compare` does.

    Args:
        slowdown_pct: true slowdown of the slowed models in training and inference.
        slowed: their names.
        num_repetitions: comparisons.
        gate: their distribution.
        seed: of the draws.

    Returns:
        Number of rows of the slowed models, two each, by verdict; under `false alarm` the number of comparisons with a
        regressed row of another model, under `fails` with any regressed row.
    """
    generator, limit = np.random.default_rng(seed), -math.log1p(-gate.limit_pct / 100)
    found: Counter[str] = Counter()
    is_slowed = [model in slowed for model, both in gate.drift.items() for _ in both]
    for _ in range(num_repetitions):
        losses: list[Loss] = []
        for model, both in gate.drift.items():
            for deviations in both:
                old, new = (gate.processes(generator, deviations, gate.num_processes, gate.num_runs) for _ in range(2))
                if model in slowed:
                    new = [value + math.log1p(-slowdown_pct / 100) for value in new]
                check = gate.processes(generator, deviations, gate.num_checked, 1)
                losses.append(ratio_loss(old, new, drift([old, new, check])))
        judged = [verdict for verdict, _ in verdicts(losses, [limit] * len(losses))]
        found.update(verdict for verdict, slow in zip(judged, is_slowed, strict=True) if slow)
        regressed = [slow for verdict, slow in zip(judged, is_slowed, strict=True) if verdict == "regressed"]
        found.update({"false alarm": not all(regressed), "fails": bool(regressed)})
    return found


def table(num_repetitions: int = 1000) -> Iterator[str]:
    """Lines of a markdown table: results of the gate for no, one and all models slowed."""
    quiet = {model: tuple((a / 10, b / 10) for a, b in both) for model, both in DRIFT.items()}
    worlds = (
        ("as recorded", Gate()),
        ("as recorded", Gate(num_processes=1, num_runs=3)),
        ("the same, at two speeds", Gate(two_speeds=True)),
        ("a tenth of it", Gate(drift=quiet)),  # type: ignore[arg-type]
    )
    counted = {"regressed": True, "not decided": True, "held": True, "false alarm": False, "fails": False}
    columns = ("drift", "processes x runs", "slowed", "by", *counted)
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for name, world in worlds:
        for who, slowed in (("all", tuple(DRIFT)), ("mlp", ("mlp",)), ("unet_encoder", ("unet_encoder",))):
            for slowdown_pct in (0, 5, 10, 20, 30) if who == "all" else (5, 10, 20, 30):
                one = simulate_gate(
                    slowdown_pct=slowdown_pct, slowed=slowed, num_repetitions=num_repetitions, gate=world
                )
                sizes = [num_repetitions * (2 * len(slowed) if of_rows else 1) for of_rows in counted.values()]
                cells = [f"{100 * one[name] / size:.1f}%" for name, size in zip(counted, sizes, strict=True)]
                size = f"{world.num_processes} x {world.num_runs}"
                yield f"| {' | '.join([name, size, who, f'{slowdown_pct}%', *cells])} |"
