"""How the ranking of the same models changes with the kind of budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.report.rows import Conditions, Section
from benchmarks.report.text import MISSING, escape, table


@dataclass(frozen=True, slots=True)
class Ranking:
    """One section's ranking: accuracy in percent and letters by row, the best first."""

    budget: str
    top1_pct: Mapping[str, float]
    letters: Mapping[str, str]

    def place(self, name: str, among: Sequence[str]) -> int:
        """The rank of a row among others that the section has, from 1."""
        return 1 + sum(self.top1_pct[other] > self.top1_pct[name] for other in among)


def budgets_text(sections: Sequence[Section], letters: Mapping[Conditions, Mapping[str, str]]) -> list[str]:
    """A table for each track and data with two or more budgets over the same two or more rows; nothing without any.

    Args:
        sections: of one machine.
        letters: of each section, by configuration key.
    """
    groups: dict[tuple[str, str, int, int], list[Ranking]] = defaultdict(list)
    for section in sections:
        at = section.conditions
        if at.budget is not None and ":" in at.budget:
            found = _ranking(section, at.budget, letters.get(at, {}))
            groups[at.dataset, at.track, at.num_train, at.num_val].append(found)
    parts = []
    for (dataset, track, num_train, _), rankings in groups.items():
        common = [name for name in rankings[0].top1_pct if all(name in other.top1_pct for other in rankings[1:])]
        if len(rankings) > 1 and len(common) > 1:
            title = f"{escape(dataset)}, track {escape(track)}, {num_train:,} training images:"
            parts.append(f"{title}\n\n{_table(rankings, common)}")
    if not parts:
        return []
    caption = (
        "The rank of each row among those that every budget has, its mean test top-1 in percent, and its letters in "
        "the table of that budget: an order among rows that share one is no finding."
    )
    return ["## The ranking by budget", caption, *parts]


def _ranking(section: Section, budget: str, letters: Mapping[str, str]) -> Ranking:
    rows = [row for row in section.rows if row.ok]
    return Ranking(
        budget,
        {row.label: fmean(row.test_top1_pct) for row in rows},
        {row.label: letters[row.records[0].config_key] for row in rows if row.records[0].config_key in letters},
    )


def _table(rankings: Sequence[Ranking], common: Sequence[str]) -> str:
    lines = []
    for name in common:
        cells = [
            f"{ranking.place(name, common)}. {ranking.top1_pct[name]:.2f} {ranking.letters.get(name, MISSING)}"
            for ranking in rankings
        ]
        lines.append([escape(name), *cells])
    return table(["model", *(escape(ranking.budget) for ranking in rankings)], lines)
