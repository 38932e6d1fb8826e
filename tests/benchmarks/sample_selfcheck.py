"""A/A checks made by hand, for tests of what makes and reads them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.measure.interleave import NUM_ROUNDS
from benchmarks.records.selfcheck import SCHEMA_VERSION, Comparison, ProcessRates, Selfcheck
from benchmarks.selfcheck.summary import between_processes, comparison, within_process
from tests.benchmarks.sample_records import make_config, make_environment


def simulated(count: int, *, difference: float = 0.0, noise: float = 0.01, drift: float = 0.0) -> list[Comparison]:
    """Comparisons on a machine with independent noise, and a drift that both arms of a round suffer alike."""
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        common = 0.02 * np.exp(np.cumsum(drift * random.standard_normal(NUM_ROUNDS)))
        first, second = (common * np.exp(noise * random.standard_normal(NUM_ROUNDS)) for _ in range(2))
        found.append(comparison("mlp", 5, first.tolist(), (second * (1 + difference)).tolist()))
    return found


def make_rate(arm: str, train: float, infer: float = 1.0) -> ProcessRates:
    return {"arm": arm, "started_at": "2026-11-24T15:00:00Z", "train_img_per_s": train, "infer_img_per_s": infer}


def make_selfcheck(
    comparisons: Sequence[Comparison] | None = None,
    *,
    rates: Sequence[ProcessRates] = (make_rate("mlp", 100.0, 1000.0), make_rate("mlp", 103.1, 1040.0)),
    **kind: Any,
) -> Selfcheck:
    """A check of one arm, an mlp in fp32 and eager; `kind` are other fields of it."""
    recipe = make_config()["recipe"]
    arm: Any = {"model": "mlp", "precision": "fp32", "engine": "eager", "recipe": recipe, **kind}
    return {
        "schema_version": SCHEMA_VERSION,
        "measured_at": "2026-11-24T15:00:00Z",
        "command": "python -m benchmarks.selfcheck",
        "settings": {"arms": {"mlp": arm}, "device": "cpu"},
        "environment": make_environment(),
        "within_process": within_process(comparisons or simulated(20)),
        "between_processes": between_processes(rates),
    }
