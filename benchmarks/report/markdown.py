"""The page of one machine: its tables, what went wrong, and where the numbers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.records.arms import ArmsRecord
from benchmarks.records.json_files import Problem
from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord
from benchmarks.records.selfcheck import Selfcheck
from benchmarks.records.tuning import Search
from benchmarks.report import noise
from benchmarks.report.arms import arms_section, by_machine, failures
from benchmarks.report.findings import FINDINGS_FILES, PageFindings
from benchmarks.report.frames import SectionFrames
from benchmarks.report.pictures import Pictures, images
from benchmarks.report.provenance import headline, provenance
from benchmarks.report.rows import Row
from benchmarks.report.section import section_text
from benchmarks.report.text import details, escape, shorten
from benchmarks.report.tuning import tuning_text

MARK = '<!-- Made from the records by "python -m benchmarks.report": changes made by hand are lost. -->'

NOT_DRAWN = (
    "Figures are drawn when a sweep has ended, or by `python -m benchmarks.report` with the folder of the results."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What a machine's page shows beside its records.

    Attributes:
        comparisons: of arms, one for each set of arms.
        selfcheck: the machine's A/A check, where it was made.
        searches: by which the equal track was tuned.
        pictures: its figures; None where they were not drawn.
    """

    comparisons: Sequence[ArmsRecord] = ()
    selfcheck: Selfcheck | None = None
    searches: Sequence[Search] = ()
    pictures: Pictures | None = field(default_factory=Pictures)


def machine_page(
    parts: Sequence[SectionFrames],
    records: Sequence[RunRecord],
    problems: Sequence[Problem],
    findings: PageFindings,
    material: Material,
) -> str:
    """The README of a machine's folder, as markdown.

    Args:
        parts: the frames of each section of `records`.
        records: all records of the machine, at least one.
        problems: files in its folder that can't be read as what they should be.
        findings: what follows from the records.
        material: what else there is to show.
    """
    rows = [row for part in parts for row in part.section.rows]
    counted = [record for row in rows for record in row.records]
    latest = max(records, key=lambda record: record.started_at)
    arms = by_machine(material.comparisons)
    failed = {machine: failures(comparisons, records) for machine, comparisons in arms.items()}
    blocks = [
        MARK,
        f"# Results on {escape(Machine.of(latest.environment).title)}",
        headline(counted),
        *([NOT_DRAWN] if material.pictures is None else []),
        *(_section(part, findings, failed, material) for part in parts if not part.section.is_past),
        *_arms_parts(arms, records, material),
        *findings.blocks,
        *_past([_section(part, findings, failed, material) for part in parts if part.section.is_past]),
        *tuning_text(material.searches),
        *_problems(rows, problems),
        provenance(counted, num_replaced=len(records) - len(counted), more_files=FINDINGS_FILES),
    ]
    return "\n\n".join(blocks) + "\n"


def _section(
    part: SectionFrames, findings: PageFindings, failed: Mapping[Machine, Mapping[str, str]], material: Material
) -> str:
    at, wrong = part.section.conditions, failed.get(part.section.machine, {})
    pictures = material.pictures.by_section.get(at, ()) if material.pictures else ()
    return section_text(part, findings.by_section[at], wrong, pictures, selfcheck=material.selfcheck)


def _past(sections: Sequence[str]) -> list[str]:
    """What earlier versions of torch gave, closed until clicked; nothing where there was one alone."""
    return [details(f"Earlier versions of torch: {len(sections)}", "\n\n".join(sections))] if sections else []


def _arms_parts(
    arms: Mapping[Machine, Sequence[ArmsRecord]], records: Sequence[RunRecord], material: Material
) -> list[str]:
    """The comparisons of precisions and engines; nothing where there are none."""
    texts = []
    for machine, comparisons in arms.items():
        floor, on = noise.between_arms(material.selfcheck, machine), f" on {escape(machine.title)}" * (len(arms) > 1)
        texts.append(arms_section(comparisons, records, floor=floor, on=on))
    return [*texts, *images(material.pictures.arms if material.pictures else (), "arms")]


def _problems(rows: Sequence[Row], problems: Sequence[Problem]) -> list[str]:
    """Runs that did not end well, and files that are no records; nothing where there are none."""
    lines = [_failure(row, record) for row in rows for record in row.failed]
    lines += [f"- File {escape(problem.name)} was skipped: {escape(shorten(problem.reason))}" for problem in problems]
    return ["## Problems", "\n".join(lines)] if lines else []


def _failure(row: Row, record: RunRecord) -> str:
    message = escape(shorten(record.error)) if record.error else "no message"
    link = f"[record](runs/{record.run_id}.json)"
    instead = "" if record in row.records else " after a good run made in the same way, which counts"
    return f"- {escape(row.label)}, seed {record.seed}: {record.status}{instead}. {message} ({link})"
