"""The pages of one machine: main page with tables, problems and provenance, and details pages."""

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
from benchmarks.report.details import section_details
from benchmarks.report.findings import FINDINGS_FILES, PageFindings
from benchmarks.report.frames import SectionFrames
from benchmarks.report.pictures import Pictures, images
from benchmarks.report.provenance import headline, provenance
from benchmarks.report.rows import Row
from benchmarks.report.section import conditions_text, section_text
from benchmarks.report.text import contents, escape, part, shorten
from benchmarks.report.tuning import trials_text, tuning_text

MARK = '<!-- Made from the records by "python -m benchmarks.report": changes made by hand are lost. -->'

PAGE = "README.md"
TRIALS = "trials.md"
PUBLISHED = "published-elsewhere.md"
EARLIER = "earlier-torch.md"
NOT_DRAWN = "Figures are drawn at the end of a sweep, or by `python -m benchmarks.report` with the results folder."


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Content of a machine's page beside run records.

    Attributes:
        comparisons: one for each set of arms.
        selfcheck: the machine's A/A check, if there is one.
        searches: tuning searches of the equal track.
        pictures: figures; None if they were not drawn.
    """

    comparisons: Sequence[ArmsRecord] = ()
    selfcheck: Selfcheck | None = None
    searches: Sequence[Search] = ()
    pictures: Pictures | None = field(default_factory=Pictures)


def machine_pages(
    parts: Sequence[SectionFrames],
    records: Sequence[RunRecord],
    problems: Sequence[Problem],
    findings: PageFindings,
    material: Material,
) -> dict[str, str]:
    """The README of a machine's folder and the pages that it links to, as Markdown by file name.

    Args:
        parts: the frames of each section of `records`.
        records: all records of the machine, at least one.
        problems: unreadable files in its folder.
        findings: of the sections.
        material: further content.
    """
    rows = [row for part in parts for row in part.section.rows]
    counted = [record for row in rows for record in row.records]
    latest = max(records, key=lambda record: record.started_at)
    arms = by_machine(material.comparisons)
    failed = {machine: failures(comparisons, records) for machine, comparisons in arms.items()}
    pages, blocks, past = dict[str, str](), list[str](), list[str]()
    for frames in parts:
        at, wrong = frames.section.conditions, failed.get(frames.section.machine, {})
        found = findings.by_section[at]
        pictures = material.pictures.by_section.get(at, ()) if material.pictures else ()
        text = section_text(frames, found, wrong, pictures, selfcheck=material.selfcheck)
        (past if frames.section.is_past else blocks).append(text)
        pages[f"{at.file_name}.md"] = _page(
            conditions_text(at), section_details(frames, found, wrong, pictures), up=True
        )
    blocks += [*findings.by_budget, *_arms_parts(arms, records, material), *tuning_text(material.searches, TRIALS)]
    if past:
        blocks.append(f"## Earlier versions of torch\n\n[Their tables]({EARLIER}), not comparable with those above.")
        pages[EARLIER] = _page("Earlier versions of torch", past, up=True)
    if material.searches:
        pages[TRIALS] = _page("All trials of the search", trials_text(material.searches), up=True)
    if findings.published:
        blocks.append(f"## Published results\n\n[Comparison with the results measured here]({PUBLISHED}).")
        pages[PUBLISHED] = _page("Published results", findings.published, up=True)
    blocks += [
        *_problems(rows, problems),
        provenance(counted, num_replaced=len(records) - len(counted), more_files=FINDINGS_FILES),
    ]
    head = [headline(counted), *([NOT_DRAWN] if material.pictures is None else [])]
    return {PAGE: _page(f"Results on {escape(Machine.of(latest.environment).title)}", blocks, head), **pages}


def _page(title: str, blocks: Sequence[str], head: Sequence[str] = (), *, up: bool = False) -> str:
    """A page with title, table of contents and, except on the machine's own page, a link back."""
    back = [f"[Back to the results]({PAGE})"] if up else []
    listed = contents(blocks)
    return "\n\n".join([MARK, f"# {title}", *back, *head, *([listed] if listed else []), *blocks]) + "\n"


def _arms_parts(
    arms: Mapping[Machine, Sequence[ArmsRecord]], records: Sequence[RunRecord], material: Material
) -> list[str]:
    """The comparisons of precisions and engines; empty if there are none."""
    texts = []
    for machine, comparisons in arms.items():
        floor, on = noise.between_arms(material.selfcheck, machine), f" on {escape(machine.title)}" * (len(arms) > 1)
        texts.append(arms_section(comparisons, records, floor=floor, on=on))
    return [*texts, *images(material.pictures.arms if material.pictures else (), "arms")]


def _problems(rows: Sequence[Row], problems: Sequence[Problem]) -> list[str]:
    """Failed runs and unreadable files; empty if there are none."""
    lines = [_failure(row, record) for row in rows for record in row.failed]
    lines += [f"- File {escape(problem.name)} was skipped: {escape(shorten(problem.reason))}" for problem in problems]
    return [part("Problems", "\n".join(lines))] if lines else []


def _failure(row: Row, record: RunRecord) -> str:
    message = escape(shorten(record.error)) if record.error else "no message"
    link = f"[record](runs/{record.run_id}.json)"
    instead = "" if record in row.records else " after a successful run with the same run key, which counts"
    return f"- {escape(row.label)}, seed {record.seed}: {record.status}{instead}. {message} ({link})"
