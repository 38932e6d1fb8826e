"""Findings derived from a section's records: significant differences, scores, fronts, time to accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.report.answers import Answers
from benchmarks.report.budgets import budgets_text
from benchmarks.report.cells import Frame
from benchmarks.report.fronts import fronts_frame, fronts_text
from benchmarks.report.pairs import letters, pairs_frame, pairs_text, section_groups
from benchmarks.report.published import published_text
from benchmarks.report.rows import Conditions, Section
from benchmarks.report.scores import reliability_frame, scores_frame, scores_text
from benchmarks.report.targets import targets_frame, targets_text

FINDINGS_FILES = ("pairs.csv", "scores.csv", "reliability.csv", "time_to_accuracy.csv", "fronts.csv")


@dataclass(frozen=True, slots=True)
class Findings:
    """Findings of one section: letters by configuration key, frames by file name, and Markdown blocks.

    `pairs` are blocks for the machine's page, `details` for the section's details page.
    """

    letters: Mapping[str, str]
    frames: Mapping[str, Frame]
    pairs: Sequence[str]
    details: Sequence[str]


@dataclass(frozen=True, slots=True)
class PageFindings:
    """Findings of a machine's page: by section, the ranking by budget, and published results."""

    by_section: Mapping[Conditions, Findings]
    by_budget: Sequence[str]
    published: Sequence[str]


def page_findings(sections: Sequence[Section], answers: Answers) -> PageFindings:
    """All findings of a machine's page."""
    found = {section.conditions: section_findings(section, answers) for section in sections}
    current = [section for section in sections if not section.is_past]
    by_budget = budgets_text(current, {conditions: part.letters for conditions, part in found.items()})
    return PageFindings(found, by_budget, published_text(current))


def section_findings(section: Section, answers: Answers) -> Findings:
    """All findings of one section."""
    groups = section_groups(section, answers)
    reasons = answers.reasons([record for row in section.rows for record in row.ok])
    pairs, scores = pairs_frame(section, groups), scores_frame(section, answers)
    fronts, targets = fronts_frame(section, answers), targets_frame(section)
    pairs_shown, pairs_apart = pairs_text(pairs, groups, reasons, f"{section.conditions.file_name}.md")
    frames = (pairs, scores, reliability_frame(section, answers), targets, fronts)
    return Findings(
        letters(groups),
        dict(zip(FINDINGS_FILES, frames, strict=True)),
        pairs=pairs_shown,
        details=[*pairs_apart, *fronts_text(fronts), *targets_text(targets), *scores_text(scores, reasons)],
    )
