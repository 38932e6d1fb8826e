"""Drift: the spread of an arm between identical processes, from the records of both sides and their A/A checks.

An arm here is a model in a precision and engine, with the work of one recipe's step, on one machine.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.compare.limits import Measure
from benchmarks.compare.matching import Side
from benchmarks.records import selfcheck
from benchmarks.records.machine import Machine
from benchmarks.records.processes import arm, arm_of, processes
from benchmarks.records.record import RunRecord
from benchmarks.stats.regressions import drift

Found = tuple[float, int]
CHECKED = {"training, img/s": "train_img_per_s", "inference, img/s": "infer_img_per_s"}
"""Measures covered by A/A checks: title and key."""


def read_checks(folders: Sequence[Path]) -> list[selfcheck.Selfcheck]:
    """The A/A checks of machine folders, without duplicates.

    Raises:
        ValueError: a selfcheck.json is damaged; ignoring it would underestimate the drift.
    """
    found: dict[str, selfcheck.Selfcheck] = {}
    for folder in folders:
        checked, fault = selfcheck.read(folder)
        if fault is not None:
            raise ValueError(f"{folder / fault.name}: {fault.reason}; repeat python -m benchmarks.selfcheck")
        if checked is not None:
            found[json.dumps(checked["between_processes"]["processes"])] = checked
    return list(found.values())


class Drift:
    """The drift of each arm between processes.

    Args:
        sides: both sides; all their records count, also those of rows that are not compared.
        checks: A/A checks.
    """

    def __init__(self, sides: Sequence[Side], checks: Sequence[selfcheck.Selfcheck]) -> None:
        self._checks = checks
        self._process: dict[str, str] = {}
        self._runs: list[dict[Hashable, list[RunRecord]]] = []
        for side in sides:
            runs: dict[Hashable, list[RunRecord]] = defaultdict(list)
            self._process |= processes(side.records)
            for run in side.records:
                if run.status == "ok" and (key := _machine_arm(run)):
                    runs[key].append(run)
            self._runs.append(runs)

    def processes(self, runs: Sequence[RunRecord], measure: Measure, part: str) -> list[list[float]]:
        """Logarithms of a measure by process, for the runs that have it."""
        found: dict[str, list[float]] = defaultdict(list)
        for run in runs:
            if (value := measure.values(run).get(part)) and value > 0:
                found[self._process[run.run_id]].append(math.log(value))
        return list(found.values())

    def between(self, sides: Sequence[Sequence[RunRecord]], measure: Measure, part: str) -> Found | None:
        """Standard deviation between processes of a row's arm, and its degrees of freedom; None if unknown.

        Other processes count with as many runs as the row's shortest has, since the mean of more runs drifts less.
        """
        num_runs = min(len(process) for runs in sides for process in self.processes(runs, measure, part))
        groups: list[list[float]] = []
        keys: set[Hashable] = set()
        for runs, known in zip(sides, self._runs, strict=True):
            arms = {_machine_arm(run) for run in runs}
            if len(arms) > 1:  # differences between arms are not drift
                return None
            keys |= arms
            by_version: dict[str, list[RunRecord]] = defaultdict(list)
            for run in known[arms.pop()]:
                by_version[run.environment["software"]["torch"]].append(run)
            groups += [
                [fmean(values[:num_runs]) for values in self.processes(alike, measure, part)]
                for alike in by_version.values()
            ]
        for checked in self._checks if measure.title in CHECKED else ():
            machine = Machine.of(checked["environment"])
            for label, one in checked["settings"]["arms"].items():
                if (machine, arm(one["model"], {}, one["precision"], one["engine"], one["recipe"])) in keys:
                    rates = [
                        process[CHECKED[measure.title]]  # type: ignore[literal-required]
                        for process in checked["between_processes"]["processes"]
                        if process["arm"] == label
                    ]
                    groups.append([math.log(rate) for rate in rates if rate > 0])
        return drift(groups)


def _machine_arm(run: RunRecord) -> Hashable | None:
    """The arm of a run on its machine; None where it isn't known."""
    found = arm_of(run)
    return None if found is None else (Machine.of(run.environment), found)
