"""Matching of comparable runs between two sets: same configuration, data, seed and machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.answers import Answers, read_answers
from benchmarks.report.files import machine_folders

Allowed = Literal["configs"]


class NotComparableError(ValueError):
    """The two sets have nothing comparable; the message says why, and what would help."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One set: its machine folders, its records, and their answers to the test images."""

    name: str
    folders: Sequence[Path]
    records: Sequence[RunRecord]
    answers: Answers

    @property
    def machines(self) -> set[Machine]:
        """The machines of the records."""
        return {Machine.of(record.environment) for record in self.records}


@dataclass(frozen=True, kw_only=True, slots=True)
class MatchedRow:
    """A configuration of both sets: pairs of successful runs by seed, and failures of the new set.

    Attributes:
        label: the variant with its track and budget.
        runs: the old and the new run of each seed that succeeded in both.
        broken: seeds that succeeded in the old set only, with their new status.
    """

    label: str
    runs: Sequence[tuple[RunRecord, RunRecord]]
    broken: Mapping[int, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Matching:
    """The matched rows, and a sentence for each one left out.

    Attributes:
        other_machine: a sentence if the sides are of different machines, so that only accuracy is judged.
    """

    rows: Sequence[MatchedRow]
    left_out: Sequence[str] = field(default_factory=list)
    other_machine: str | None = None


def read_side(directory: Path) -> Side:
    """Read a results folder, or the folder of one machine in it.

    Raises:
        NotComparableError: there is no readable record.
    """
    folders = [directory] if (directory / "runs").is_dir() else machine_folders(directory)
    stores = [RecordStore(folder) for folder in folders]
    records = {store: store.read_all()[0] for store in stores}
    if not any(records.values()):
        raise NotComparableError(f"{directory} holds no readable record; give a results folder or one machine's")
    answers = [read_answers(store, found) for store, found in records.items()]
    return Side(
        name=str(directory),
        folders=folders,
        records=[record for found in records.values() for record in found],
        answers=Answers(
            {name: run for found in answers for name, run in found.by_run.items()},
            {name: reason for found in answers for name, reason in found.missing.items()},
        ),
    )


def match(old: Side, new: Side, allowed: Collection[Allowed] = ()) -> Matching:
    """Pair the latest run of each configuration and seed.

    Args:
        old: the reference.
        new: the set under test.
        allowed: what may differ: `configs` (rows are then matched by dataset, track and label).

    Raises:
        NotComparableError: there is nothing to compare, or machines differ and one set is of several machines.
    """
    other_machine = _other_machine(old, new)
    before, after = (_latest(side, allowed, by_machine=other_machine is None) for side in (old, new))
    common = [key for key in before if key in after]
    if not common:
        raise NotComparableError(
            f"{old.name} and {new.name} have no configuration in common; run the same command on both sides, or "
            "--allow configs to match rows by their labels"
        )
    rows: list[MatchedRow] = []
    left_out: list[str] = [f"{_label(runs)}: only in the old set" for key, runs in before.items() if key not in after]
    left_out += [f"{_label(runs)}: only in the new set" for key, runs in after.items() if key not in before]
    for key in common:
        found = _matched_row(before[key], after[key])
        if isinstance(found, str):
            left_out.append(found)
        else:
            rows.append(found)
    if not rows:
        raise NotComparableError("nothing to compare: " + "; ".join(left_out))
    return Matching(rows=rows, left_out=left_out, other_machine=other_machine)


def _other_machine(old: Side, new: Side) -> str | None:
    """A sentence if the two sides have no machine in common."""
    if old.machines & new.machines:
        return None
    names = [" and ".join(sorted(machine.title for machine in side.machines)) for side in (old, new)]
    if several := [side.name for side in (old, new) if len(side.machines) > 1]:
        raise NotComparableError(
            f"different machines: {names[0]} before, {names[1]} now, and {several[0]} holds several; give one machine's"
        )
    return (
        f"Different machines: {names[0]} before, {names[1]} now. Only accuracy is judged; differences in speed and "
        "memory may be due to the machine."
    )


def _latest(
    side: Side, allowed: Collection[Allowed], *, by_machine: bool
) -> dict[tuple[object, ...], dict[int, RunRecord]]:
    """The latest run of each seed, by what must match."""
    found: dict[tuple[object, ...], dict[int, RunRecord]] = defaultdict(dict)
    for record in sorted(side.records, key=lambda record: (record.started_at, record.run_id)):
        config = record.config
        what = (config["dataset"], config["track"], record.variant) if "configs" in allowed else (record.config_key,)
        found[*what, Machine.of(record.environment) if by_machine else None][record.seed] = record
    return dict(sorted(found.items(), key=lambda entry: _label(entry[1])))


def _matched_row(before: Mapping[int, RunRecord], after: Mapping[int, RunRecord]) -> MatchedRow | str:
    """A matched row, or a sentence on why these runs can't be compared."""
    label = _label(before)
    good = {seed: run for seed, run in before.items() if run.status == "ok" and run.metrics}
    if not good:
        return f"{label}: no successful run in the old set"
    seeds = [seed for seed in good if seed in after]
    if not seeds:
        return f"{label}: no seed in common (old {_seeds(good)}, new {_seeds(after)})"
    runs = [(good[seed], after[seed]) for seed in seeds if after[seed].status == "ok" and after[seed].metrics]
    if any(_checksum(one) != _checksum(other) for one, other in runs):
        return f"{label}: the datasets have different checksums"
    broken = {seed: after[seed].status for seed in seeds if after[seed].status != "ok"}
    return MatchedRow(label=label, runs=runs, broken=broken)


def _checksum(record: RunRecord) -> str | None:
    return record.dataset["checksum"] if record.dataset else None


def _seeds(runs: Collection[int]) -> str:
    return ", ".join(map(str, sorted(runs)))


def _label(runs: Mapping[int, RunRecord]) -> str:
    """The variant with its track, budget and, unless it is Fashion-MNIST, dataset."""
    record = next(iter(runs.values()))
    config = record.config
    budget = str(config["recipe"]["budget"])
    parts = [record.variant, config["track"], *([] if f"budget={budget}" in record.variant else [budget])]
    return " ".join([*parts, *([] if config["dataset"] == "fashion_mnist" else [config["dataset"]])])
