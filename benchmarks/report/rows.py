"""Records grouped for tables: one section per set of comparable conditions, one row per configuration."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord, difference, record_parts
from benchmarks.records.row_labels import variant_labels
from benchmarks.records.schema import Config
from benchmarks.report.rates import Rates
from benchmarks.report.text import file_name

TRACKS = ("equal", "best", "published")
BUDGETS = ("epochs", "seconds", "flops")
USUAL_IMAGES = 60_000
"""Training and validation images in most sections; only other numbers are part of file names."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions shared by the rows of a section.

    `budget` is None on the published track, where each net has its own, and `seconds` for all time budgets of the best
    track, whose table shows accuracy against training time. `machine` and `torch` are None if all sections of a page
    share them.
    """

    dataset: str
    track: str
    budget: str | None
    num_train: int
    num_val: int
    machine: str | None = None
    torch: str | None = None

    @property
    def file_name(self) -> str:
        """Prefix of the section's file names, such as `equal-epochs-5-55000`, with a digest if that is ambiguous."""
        dataset = "" if self.dataset == "fashion_mnist" else self.dataset
        fields = (dataset, self.track, self.budget, str(self.num_train), self.torch, self.machine)
        text = "-".join(filter(None, fields)).replace(":", "-")
        return file_name(text, None if self.num_train + self.num_val == USUAL_IMAGES else repr(self))


@dataclass(frozen=True, slots=True)
class Row:
    """One configuration: its label, the run that counts for each seed (by seed), and the runs that these replace.

    `rates` knows the speed of all records of the page.
    """

    label: str
    records: list[RunRecord]
    replaced: list[RunRecord] = field(default_factory=list)
    rates: Rates = field(default_factory=Rates, compare=False, repr=False)

    @property
    def config(self) -> Config:
        """The configuration shared by all runs."""
        return self.records[0].config

    @property
    def config_key(self) -> str:
        """Identity of the configuration."""
        return self.records[0].config_key

    @property
    def ok(self) -> list[RunRecord]:
        """The successful, tested runs, on which all summaries rest."""
        return [record for record in self.records if record.status == "ok" and record.metrics]

    @property
    def tried(self) -> list[RunRecord]:
        """The successful runs, else the failed ones."""
        return self.ok or self.records

    @property
    def failed(self) -> list[RunRecord]:
        """The failed runs, including later repeats of a successful run, which still counts."""
        counts = {record.seed: record for record in self.records}
        later = [run for run in self.replaced if run.status != "ok" and run.run_id > counts[run.seed].run_id]
        return [*(record for record in self.records if record.status != "ok"), *later]

    @property
    def test_top1_pct(self) -> list[float]:
        """Test top-1 of each successful run, in percent."""
        return [record.metrics["test_top1_pct"] for record in self.ok if record.metrics]


@dataclass(frozen=True, slots=True)
class Section:
    """Comparable rows, by descending test accuracy; rows without one come last.

    Attributes:
        is_past: whether a newer version of torch has a section with the same conditions.
    """

    conditions: Conditions
    rows: list[Row]
    is_past: bool = False

    @property
    def machine(self) -> Machine:
        """The machine of all runs."""
        return Machine.of(self.rows[0].records[0].environment)


def sections(records: Sequence[RunRecord]) -> list[Section]:
    """Group records by machine, torch version and conditions: main conditions first, past versions last.

    The latest run of each configuration and seed counts; if it failed, the latest successful run with the same run key.
    """
    machines, rates = _machines(records), Rates(records)
    versions = {record.environment["software"]["torch"] for record in records}
    by_key: dict[tuple[str, Conditions], dict[int, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda record: record.run_id):  # sorts by start where key and seed are equal
        machine, torch = machines[Machine.of(record.environment)], record.environment["software"]["torch"]
        its = replace(_conditions(record.config), machine=machine, torch=torch if len(versions) > 1 else None)
        by_key[record.config_key, its][record.seed].append(record)
    groups: dict[Conditions, list[list[list[RunRecord]]]] = defaultdict(list)
    for (_, conditions), by_seed in sorted(by_key.items(), key=lambda item: item[0][0]):
        groups[conditions].append([_counting_last(again) for _, again in sorted(by_seed.items())])
    newest = {replace(one, torch=None): one for one in sorted(groups, key=lambda one: _age(one.torch or ""))}
    found = [Section(one, _rows(runs, rates), newest[replace(one, torch=None)] != one) for one, runs in groups.items()]
    order = list(machines.values())
    return sorted(found, key=lambda one: (one.is_past, order.index(one.conditions.machine), *_rank(one.conditions)))


def _machines(records: Sequence[RunRecord]) -> dict[Machine, str | None]:
    """Distinct names of machines, that of the latest run first; None for a single machine."""
    latest = sorted(records, key=lambda record: (record.started_at, record.run_id), reverse=True)
    found = list(dict.fromkeys(Machine.of(record.environment) for record in latest))
    titles = Counter(machine.title for machine in found)
    if len(found) == 1:
        return {found[0]: None}
    return {one: one.title if titles[one.title] == 1 else f"{one.title}, {one.key[:8]}" for one in found}


def _age(version: str) -> tuple[object, ...]:
    """Sort key for versions of torch: `2.9.1`, `2.10.0.dev20261001`, `2.10.0+cpu`."""
    release, _, build = version.partition("+")
    numbers = [(len(number), number) for number in re.split(r"\D+", release) if number]
    return numbers[:3], re.search("[a-z]", release) is None, numbers, build


def _counting_last(runs: list[RunRecord]) -> list[RunRecord]:
    """The runs of a configuration and seed, oldest first, with the run that counts moved to the end."""
    last = runs[-1]
    if last.status == "ok":
        return runs
    made = record_parts(last)
    good = [run for run in runs if run.status == "ok" and difference(made, record_parts(run)) is None]
    return [*(run for run in runs if run is not good[-1]), good[-1]] if good else runs


def _rows(groups: Sequence[list[list[RunRecord]]], rates: Rates) -> list[Row]:
    """One row per configuration, from its runs by seed, oldest first."""
    labels = variant_labels([runs[0][-1].config for runs in groups])
    labels = [f"{label}{_mark([again[-1] for again in runs])}" for label, runs in zip(labels, groups, strict=True)]
    rows = [
        Row(label, [again[-1] for again in runs], [run for again in runs for run in again[:-1]], rates)
        for label, runs in zip(labels, groups, strict=True)
    ]
    return sorted(rows, key=lambda row: (-fmean(row.test_top1_pct or [-1.0]), row.label))


def _mark(records: Sequence[RunRecord]) -> str:
    """Label suffix of rows that were trained with another batch size than requested."""
    changed = any(flag["kind"] == "batch_changed" for record in records for flag in record.flags)
    return " (batch changed)" if changed else ""


def _conditions(config: Config) -> Conditions:
    budget = None if config["track"] == "published" else config["recipe"]["budget"]
    if config["track"] == "best" and str(budget).startswith("seconds:"):
        budget = "seconds"
    return Conditions(config["dataset"], config["track"], budget, config["num_train"], config["num_val"])


def _rank(conditions: Conditions) -> tuple[object, ...]:
    """Sort key: Fashion-MNIST, the equal track, epoch budgets and larger budgets first."""
    kind, _, amount = (conditions.budget or "").partition(":")
    try:
        size = float(amount or 0)
    except ValueError:  # an unknown budget still gets its section
        size = 0.0
    return (
        *_place(conditions.dataset, ("fashion_mnist",)),
        *_place(conditions.track, TRACKS),
        *_place(kind, BUDGETS),
        -size,
        conditions.budget or "",
        -conditions.num_train,
        -conditions.num_val,
    )


def _place(name: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)
