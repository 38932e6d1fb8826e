"""How much worse is too much: what a person allows, and what the machine's noise hides."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.records import selfcheck
from benchmarks.records.machine import Machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Losses that count: accuracy in points of test top-1, throughput in percent of images per second."""

    accuracy: float = 0.3
    throughput: float = 5.0


def parse_limits(text: str) -> Limits:
    """Read `accuracy=0.3,throughput=5%`; what isn't named keeps its default.

    Raises:
        ValueError: a name or a number isn't understood.
    """
    values: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, amount = part.strip().partition("=")
        if name not in ("accuracy", "throughput") or name in values:
            raise ValueError(f"--fail-on {part!r}: give accuracy=POINTS and throughput=PERCENT%, each once")
        if amount.endswith("%") != (name == "throughput"):
            form = "throughput=5% (a percentage)" if name == "throughput" else "accuracy=0.3 (points, without %)"
            raise ValueError(f"--fail-on {part!r} is not of the form {form}")
        try:
            values[name] = float(amount.removesuffix("%"))
        except ValueError:
            values[name] = math.nan
        if not 0 < values[name] < 100:
            raise ValueError(f"--fail-on {part!r}: {amount!r} is not a number above 0 and below 100")
    return Limits(**values)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseFloor:
    """By how much two processes that do the same differ in throughput, in percent; 95% of pairs differ by less."""

    train_pct: float
    infer_pct: float


def noise_floor(folders: Sequence[Path], machines: Collection[Machine]) -> NoiseFloor | None:
    """The largest noise floor of these machines in these folders, from their A/A check; None where none has one.

    Raises:
        ValueError: a selfcheck.json is damaged: without its numbers a gate would be stricter than the machine allows.
    """
    found: list[NoiseFloor] = []
    for folder in folders:
        checked, fault = selfcheck.read(folder)
        if fault is not None:
            raise ValueError(
                f"{folder / fault.name}: {fault.reason}; make it again with python -m benchmarks.selfcheck"
            )
        if checked is not None and Machine.of(checked["environment"]) in machines:
            between = checked["between_processes"]
            found.append(NoiseFloor(train_pct=between["train_floor_pct"], infer_pct=between["infer_floor_pct"]))
    if not found:
        return None
    return NoiseFloor(
        train_pct=max(floor.train_pct for floor in found), infer_pct=max(floor.infer_pct for floor in found)
    )
