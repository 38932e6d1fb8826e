"""Pairwise comparisons of a section's rows over seeds and test images, and letters for the accuracy table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.report.answers import Answers
from benchmarks.report.cells import Frame, differs, is_known
from benchmarks.report.frames import rows_frame
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, escape, number, part, protocol, table
from benchmarks.report.values import num_test_images
from benchmarks.stats.pairs import Comparison, Pair, Run, compare_models

PAIRS_SHOWN = 100
"""Further pairs are in pairs.csv only: a page must stay below half a megabyte."""
PAIRS_ON_PAGE = 10
"""With more pairs, the table moves to the section's details page."""


@dataclass(frozen=True, slots=True)
class Group:
    """Comparable rows of a section, in its order: same budget and same test set."""

    rows: list[Row]
    comparison: Comparison

    def row(self, name: str) -> Row:
        """A row by its label."""
        return next(row for row in self.rows if row.label == name)


def section_groups(section: Section, answers: Answers) -> list[Group]:
    """Compare the rows of a section; rows without a successful run are in no group."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in section.rows:
        if row.ok:
            groups[row.config["recipe"]["budget"], *_test_sets(row)].append(row)
    found = []
    for (_, *test_sets), rows in groups.items():
        usable = answers if len(test_sets) == 1 else Answers()  # pairing needs the same images
        found.append(Group(rows, compare_models({row.label: _runs(row, usable) for row in rows})))
    return found


def letters(groups: Sequence[Group]) -> dict[str, str]:
    """Letters by configuration key; empty if budgets differ or a pair has no verdict."""
    if len(groups) != 1 or groups[0].comparison.letters is None:
        return {}
    found = groups[0].comparison.letters
    return {row.config_key: found[row.label] for row in groups[0].rows}


def pairs_frame(section: Section, groups: Sequence[Group]) -> Frame:
    """A row for each pair: `variant` minus `other_variant`."""
    return rows_frame(
        section,
        [
            (group.row(pair.first), _cells(pair, group.row(pair.first), group.row(pair.second)))
            for group in groups
            for pair in group.comparison.pairs
        ],
    )


def _test_sets(row: Row) -> list[str]:
    return sorted({record.dataset["checksum"] for record in row.ok if record.dataset})


def _runs(row: Row, answers: Answers) -> dict[int, Run]:
    """A row's runs by seed, with accuracy recomputed from image counts, since records hold it in fp32."""
    runs = {}
    for record in row.ok:
        assert record.metrics is not None
        size, found = num_test_images(record), answers.by_run.get(record.run_id)
        right = round(record.metrics["test_top1_pct"] / 100 * size)
        top1_pct = 100 * (right if found is None else int(found.correct.sum())) / size
        runs[record.seed] = Run(top1_pct=top1_pct, answers=None if found is None else found.correct)
    return runs


def _cells(pair: Pair, first: Row, second: Row) -> dict[str, Any]:
    seeds, images, single = pair.over_seeds, pair.over_images, pair.mcnemar
    return {
        "other_variant": second.label,
        "other_model": second.config["model"],
        "num_seeds": len(first.ok),
        "other_num_seeds": len(second.ok),
        "difference_pct": pair.difference,
        "seeds_low_pct": seeds.low if seeds else None,
        "seeds_high_pct": seeds.high if seeds else None,
        "seeds_adjusted_p": pair.adjusted_p,
        "images_low_pct": images.low if images else None,
        "images_high_pct": images.high if images else None,
        "differs": {True: "yes", False: "no", None: None}[pair.differs],
        "num_seeds_needed": pair.num_seeds_needed,
        "mcnemar_only_first": single.only_first if single else None,
        "mcnemar_only_second": single.only_second if single else None,
        "mcnemar_adjusted_p": pair.mcnemar_adjusted_p,
    }


def pairs_text(
    frame: Frame, groups: Sequence[Group], reasons: Sequence[str], details_page: str
) -> tuple[list[str], list[str]]:
    """The pairs table with its caption as blocks for the machine's page and for the details page.

    A long table is on the details page and linked from the machine's page. Both are empty without a pair.
    """
    if not frame:
        return [], []
    columns = {
        "pair": lambda row: f"{escape(row['variant'])} vs. {escape(row['other_variant'])}",
        "difference (first - second), points": lambda row: number(row["difference_pct"], 2),
        "95% over seeds": lambda row: _interval(row, "seeds"),
        "p (Holm)": lambda row: p_text(row["seeds_adjusted_p"]),
        "95% over test images": lambda row: _interval(row, "images"),
        "correct in first only / second only": _discordant,
        "McNemar p (Holm)": lambda row: p_text(row["mcnemar_adjusted_p"]),
        "verdict": _verdict,
        "seeds needed": _needed,
    }
    if differs([row["budget"] for row in frame]):
        columns = {"budget": lambda row: escape(row["budget"]), **columns}
    cells = {name: [cell(row) for row in frame] for name, cell in columns.items()}
    shown = [name for name in columns if set(cells[name]) != {MISSING}]
    lines = list(zip(*(cells[name] for name in shown), strict=True))
    text = table(shown, lines[:PAIRS_SHOWN], words=("pair", "verdict"))
    if len(lines) > PAIRS_SHOWN:
        text += f"\n\n{len(lines) - PAIRS_SHOWN:,} more pairs are in [pairs.csv](pairs.csv)."
    body = f"{_caption(frame, groups, reasons)}\n\n{text}"
    if len(lines) <= PAIRS_ON_PAGE:
        return ["### Pairs", body], []
    return ["### Pairs", f"[All {len(lines):,} pairs]({details_page}#pairs)"], [part("Pairs", body)]


def _caption(frame: Frame, groups: Sequence[Group], reasons: Sequence[str]) -> str:
    """Caption of the pairs table, for the columns that it has, with the reasons for missing ones."""
    sentences = []
    pooled = [group.comparison for group in groups if group.comparison.deviation is not None]
    if pooled:
        spread = "; ".join(
            f"{comparison.deviation:.2f} points, df {comparison.degrees_of_freedom}" for comparison in pooled
        )
        sentences.append(f"Run-to-run standard deviation, pooled over models: {spread}.")
    if is_known([row["differs"] for row in frame]):
        sentences.append("Significant: p (Holm) is below 0.05 and the interval over test images excludes 0.")
    if not pooled:
        sentences.append("No verdict from one seed each: another seed may reverse a difference (use --seeds 3).")
    if is_known([row["mcnemar_adjusted_p"] for row in frame]):
        sentences.append("McNemar's exact test applies to these single runs only.")
    sentences.append(protocol("statistics.md"))
    if reasons and any(row["images_low_pct"] is None for row in frame):
        sentences.append(f"No interval over test images without per-image predictions ({escape('; '.join(reasons))}).")
    return " ".join(sentences)


def p_text(value: float | None) -> str:
    """A formatted p-value."""
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _interval(row: Mapping[str, Any], kind: str) -> str:
    low, high = row[f"{kind}_low_pct"], row[f"{kind}_high_pct"]
    return MISSING if low is None else f"{low:.2f} to {high:.2f}"


def _discordant(row: Mapping[str, Any]) -> str:
    first, second = row["mcnemar_only_first"], row["mcnemar_only_second"]
    return MISSING if first is None else f"{first} / {second}"


def _verdict(row: Mapping[str, Any]) -> str:
    if row["differs"] is None:
        return MISSING
    if row["differs"] == "no":
        return "not significantly different"
    return f"{escape(row['variant'] if row['difference_pct'] > 0 else row['other_variant'])} is better"


def _needed(row: Mapping[str, Any]) -> str:
    if row["differs"] != "no":
        return MISSING
    return number(row["num_seeds_needed"]) if row["num_seeds_needed"] is not None else "none suffices"
