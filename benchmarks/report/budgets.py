"""Rankings of the same models under different kinds of budget."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from benchmarks.records.schema import Config
from benchmarks.report.rows import Conditions, Section
from benchmarks.report.text import MISSING, escape, table


@dataclass(frozen=True, slots=True)
class Ranking:
    """One section's accuracies in percent, letters and labels, by row identity without the budget; best first."""

    budget: str
    top1_pct: Mapping[str, float]
    letters: Mapping[str, str]
    labels: Mapping[str, str]

    def place(self, name: str, among: Sequence[str]) -> int:
        """The rank of a row among others of the section, from 1."""
        return 1 + sum(self.top1_pct[other] > self.top1_pct[name] for other in among)


def budgets_text(sections: Sequence[Section], letters: Mapping[Conditions, Mapping[str, str]]) -> list[str]:
    """A table for each track and dataset with two or more rows in common between budgets; empty if there is none.

    Args:
        sections: of one machine.
        letters: by section and configuration key.
    """
    groups: dict[Conditions, list[Ranking]] = defaultdict(list)
    for section in sections:
        at = section.conditions
        if at.budget is not None and ":" in at.budget:
            found = _ranking(section, at.budget, letters.get(at, {}))
            groups[replace(at, budget=None)].append(found)
    parts = []
    for at, rankings in groups.items():
        same, common = _comparable(rankings)
        if len(common) > 1:
            on = "".join(f", {escape(name)}" for name in (at.torch, at.machine) if name is not None)
            title = f"{escape(at.dataset)}, track {escape(at.track)}, {at.num_train:,} training images{on}:"
            parts.append(f"{title}\n\n{_table(same, common)}")
    if not parts:
        return []
    caption = (
        "Rank among the rows common to all budgets, mean test top-1 in percent, and letters from that budget's table. "
        "Rows with a common letter are not significantly different."
    )
    return ["## The ranking by budget", caption, *parts]


def _ranking(section: Section, budget: str, letters: Mapping[str, str]) -> Ranking:
    rows = {_identity(row.config): row for row in section.rows if row.ok}
    return Ranking(
        budget,
        {name: fmean(row.test_top1_pct) for name, row in rows.items()},
        {name: letters[key] for name, row in rows.items() if (key := row.config_key) in letters},
        {name: row.label for name, row in rows.items()},
    )


def _identity(config: Config) -> str:
    """Identity of a row without its budget; labels won't do, since they show only what varies within one table."""
    recipe = {name: value for name, value in config["recipe"].items() if name != "budget"}
    rest = {name: value for name, value in config.items() if name not in ("preset", "recipe")}
    return json.dumps({**rest, "recipe": recipe}, sort_keys=True)


def _comparable(rankings: Sequence[Ranking]) -> tuple[list[Ranking], list[str]]:
    """The largest set of rows shared by two budgets, in the order of the first, and all rankings that contain it."""
    shared = [
        [name for name in one.top1_pct if name in other.top1_pct] for one, other in itertools.combinations(rankings, 2)
    ]
    common = max(shared, key=len, default=[])
    return [ranking for ranking in rankings if set(common) <= set(ranking.top1_pct)], common


def _table(rankings: Sequence[Ranking], common: Sequence[str]) -> str:
    lines = []
    for name in common:
        cells = [
            f"{ranking.place(name, common)}. {ranking.top1_pct[name]:.2f} {ranking.letters.get(name, MISSING)}"
            for ranking in rankings
        ]
        lines.append([escape(rankings[0].labels[name]), *cells])
    return table(["model", *(escape(ranking.budget) for ranking in rankings)], lines)
