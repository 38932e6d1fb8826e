"""The verdict on two rows in sentences: which is better, the evidence, and how many seeds would decide."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from benchmarks.report.answers import Answers
from benchmarks.report.pairs import Group, p_text, section_groups
from benchmarks.report.rows import Row, Section
from benchmarks.stats.pairs import Pair


def find_row(section: Section, name: str) -> Row | None:
    """The row with this label, or the only row of this model; None if there is no such row."""
    by_label = [row for row in section.rows if row.label == name]
    by_model = [row for row in section.rows if row.config["model"] == name]
    found = by_label or by_model
    return found[0] if len(found) == 1 else None


def pair_sentence(section: Section, answers: Answers, names: tuple[str, str]) -> str | None:
    """The verdict on two rows of a section; None if it lacks one of them."""
    first, second = (find_row(section, name) for name in names)
    if first is None or second is None or first is second:
        return None
    failed = [row.label for row in (first, second) if not row.ok]
    if failed:
        return f"No successful run of {' and '.join(failed)}: nothing to compare."
    groups = section_groups(section, answers)
    for group in groups:
        for pair in group.comparison.pairs:
            if {pair.first, pair.second} == {first.label, second.label}:
                return _sentence(pair, group, answers)
    return f"{first.label} and {second.label} are not comparable: different budgets or test sets."


def _sentence(pair: Pair, group: Group, answers: Answers) -> str:
    if pair.difference is None:
        return f"{pair.first} and {pair.second} have no seed in common: run both with the same --seeds N."
    ahead, behind = (pair.first, pair.second) if pair.difference >= 0 else (pair.second, pair.first)
    gap, sign = abs(pair.difference), 1 if pair.difference >= 0 else -1
    evidence = "; ".join(filter(None, [_over_seeds(pair, group, sign), _over_images(pair, sign), _single(pair)]))
    if pair.differs:
        return f"{ahead} is better than {behind} by {gap:.2f} points: {evidence}."
    if pair.differs is False:
        return (
            f"{ahead} and {behind} are not significantly different; {ahead} is {gap:.2f} points ahead: {evidence}. "
            f"{_outlook(pair, group)}"
        )
    runs = [record for name in (pair.first, pair.second) for record in group.row(name).ok]
    lacking = [] if pair.adjusted_p is not None else ["one seed each, two or more are needed (--seeds 3)"]
    if pair.over_images is None:
        lacking.append(f"per-image predictions are missing ({'; '.join(answers.reasons(runs))})")
    found = f": {evidence}" if evidence else ""
    return f"{ahead} is {gap:.2f} points ahead of {behind}{found}. No verdict: {'; '.join(lacking)}."


def _over_seeds(pair: Pair, group: Group, sign: int) -> str | None:
    seeds = pair.over_seeds
    if seeds is None or seeds.low is None or seeds.high is None:
        return None
    low, high = sorted((sign * seeds.low, sign * seeds.high))
    sizes = sorted({len(group.row(name).ok) for name in (pair.first, pair.second)})
    count = " and ".join(map(str, sizes))
    p_value = p_text(pair.adjusted_p)
    num_pairs = len(group.comparison.pairs)
    relation = p_value if p_value.startswith("<") else f"= {p_value}"
    return (
        f"95% interval over {count} seeds {low:.2f} to {high:.2f} (variance pooled over {group.comparison.num_models} "
        f"models), p {relation} (Holm, {num_pairs} pair{'s' * (num_pairs != 1)})"
    )


def _over_images(pair: Pair, sign: int) -> str | None:
    if pair.over_images is None:
        return None
    low, high = sorted((sign * pair.over_images.low, sign * pair.over_images.high))
    return f"simultaneous 95% interval over test images {low:.2f} to {high:.2f}"


def _single(pair: Pair) -> str | None:
    test = pair.mcnemar
    if test is None or pair.adjusted_p is not None:
        return None
    return (
        f"{test.only_first:,} images correct in {pair.first} only, {test.only_second:,} in {pair.second} only "
        f"(exact McNemar p {p_text(test.p_value)}, for these two runs)"
    )


def _outlook(pair: Pair, group: Group) -> str:
    if not pair.difference:
        return "The observed difference is zero."
    if pair.num_seeds_needed is None:
        return (
            "No number of seeds would detect a difference of this size: its standard error over test images alone is "
            f"{pair.image_error_floor or 0.0:.2f} points."
        )
    now = min(len(group.row(name).ok) for name in (pair.first, pair.second))
    return (
        f"If the true difference is this large, {pair.num_seeds_needed - now} more seeds of each "
        f"({pair.num_seeds_needed} in total) would detect it with 80% power."
    )


def name_hint(sections: Sequence[Section], name: str) -> str:
    """A hint in parentheses on a name that isn't a row label: its rows, or the closest label."""
    rows = [row for section in sections for row in section.rows]
    labels = sorted({row.label for row in rows})
    if name in labels:
        return ""
    if several := sorted({row.label for row in rows if row.config["model"] == name}):
        return f" ({name} has several rows: {'; '.join(several[:6])}{'; ...' if len(several) > 6 else ''})"
    close = difflib.get_close_matches(name, labels, n=1)
    return f" (no {name}: did you mean {close[0]}?)" if close else f" (no row is called {name})"
