"""How fast the runs of a row are, with what all records of its machine know of how far such runs lie apart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal

from benchmarks.records.machine import Machine
from benchmarks.records.processes import arm_of, processes
from benchmarks.records.record import RunRecord
from benchmarks.stats.rates import Deviation, Rate, deviation, rate, spread_pct

Kind = Literal["train", "infer"]


class Rates:
    """What records know of the speed of arms; a machine and version of torch has no other one's drift.

    Args:
        records: all that there are, replaced ones included.
    """

    def __init__(self, records: Sequence[RunRecord] = ()) -> None:
        self._process = processes(records)
        self._runs: dict[Hashable, list[RunRecord]] = defaultdict(list)
        self._deviations: dict[tuple[Hashable, Kind], Deviation | None] = {}
        for run in records:
            if run.status == "ok" and (key := _key(run)):
                self._runs[key].append(run)

    def of(self, runs: Sequence[RunRecord], kind: Kind) -> Rate | None:
        """The rate of the runs of a row, one or several; None where none of them was measured."""
        logs = self.logs(runs, kind)
        if not logs:
            return None
        keys = {_key(run) for run in runs}  # what sets arms apart is no drift
        known = self._of_arm(keys.pop(), kind) if len(keys) == 1 else None
        return rate(logs, known or self.deviation(runs, kind))

    def deviation(self, runs: Sequence[RunRecord], kind: Kind) -> Deviation | None:
        """How far runs of one arm lie apart; None where that isn't known."""
        spreads = [spread for run in runs if (spread := spread_pct(_measured(run, kind)[1])) is not None]
        return deviation(self.logs(runs, kind), spreads_pct=spreads)

    def logs(self, runs: Iterable[RunRecord], kind: Kind) -> list[list[float]]:
        """The logarithms of the rates that were measured, by process."""
        found: dict[str | None, list[float]] = defaultdict(list)
        for run in runs:
            value, _ = _measured(run, kind)
            if value is not None and value > 0:
                found[self._process.get(run.run_id)].append(math.log(value))
        return list(found.values())

    def _of_arm(self, key: Hashable, kind: Kind) -> Deviation | None:
        if (key, kind) not in self._deviations:
            self._deviations[key, kind] = self.deviation(self._runs.get(key, ()), kind)
        return self._deviations[key, kind]


def _measured(run: RunRecord, kind: Kind) -> tuple[float | None, list[float]]:
    """The rate of a run, and its samples."""
    found = run.throughput
    if found is None:
        return None, []
    if kind == "train":
        return found["train_img_per_s"], found["train_samples_img_per_s"]
    return found["infer_img_per_s"], found["infer_samples_img_per_s"]


def _key(run: RunRecord) -> Hashable:
    arm = arm_of(run)
    return arm and (arm, Machine.of(run.environment), run.environment["software"]["torch"])
