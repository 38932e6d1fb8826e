"""The gated measures and their limits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.records.record import RunRecord

DEFAULTS = {"accuracy": 0.3, "throughput": 5.0}
"""Points of test top-1, and percent of images per second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A quantity of a run that is subject to the machine's drift.

    Attributes:
        title: with the unit.
        limited_by: name of its limit.
        more_is_better: whether larger values are better.
        values: of a run, by condition (batch size, state of the compiler cache); only equal conditions are compared.
    """

    title: str
    limited_by: str
    more_is_better: bool = False
    values: Callable[[RunRecord], Mapping[str, float | None]]

    def limit(self, percent: float) -> float:
        """A limit in percent as the logarithm of a ratio."""
        return -math.log1p(-percent / 100) if self.more_is_better else math.log1p(percent / 100)


MEASURES = (
    Measure(
        title="training, img/s",
        limited_by="throughput",
        more_is_better=True,
        values=lambda run: {"": run.throughput["train_img_per_s"]} if run.throughput else {},
    ),
    Measure(
        title="inference, img/s",
        limited_by="throughput",
        more_is_better=True,
        values=lambda run: {"": run.throughput["infer_img_per_s"]} if run.throughput else {},
    ),
    Measure(
        title="latency p50, ms",
        limited_by="latency",
        values=lambda run: {batch.replace("_", " "): found["p50_ms"] for batch, found in (run.latency or {}).items()},
    ),
    Measure(
        title="peak memory, MiB",
        limited_by="memory",
        values=lambda run: {run.memory["kind"]: run.memory["peak_mem_mib"]} if run.memory else {},
    ),
    Measure(
        title="first step, s",
        limited_by="first_step",
        values=lambda run: {_cache(run): run.ledger["first_step_s"]},
    ),
)
NAMES = ("accuracy", *dict.fromkeys(measure.limited_by for measure in MEASURES))


def _cache(run: RunRecord) -> str:
    state = run.compilation and run.compilation["cache"]
    return f"{state} cache" if state else ""


def parse_limits(text: str) -> dict[str, float]:
    """Read `accuracy=0.3,throughput=5%,memory=10%`; accuracy and throughput keep their default where not named.

    Raises:
        ValueError: an unknown or repeated name, or an invalid number.
    """
    values: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, amount = part.strip().partition("=")
        if name not in NAMES or name in values:
            percents = ", ".join(f"{name}=PERCENT%" for name in NAMES[1:])
            raise ValueError(f"--fail-on {part!r}: give accuracy=POINTS, {percents}, each once")
        if amount.endswith("%") == (name == "accuracy"):
            form = "accuracy=0.3 (points, without %)" if name == "accuracy" else f"{name}=5% (a percentage)"
            raise ValueError(f"--fail-on {part!r} is not of the form {form}")
        try:
            values[name] = float(amount.removesuffix("%"))
        except ValueError:
            values[name] = math.nan
        if not 0 < values[name] < 100:
            raise ValueError(f"--fail-on {part!r}: {amount!r} is not a number above 0 and below 100")
    return DEFAULTS | values
