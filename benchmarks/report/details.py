"""The details page of a section: learning curves, scores by class, confusion, footnotes, recipes and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from benchmarks.records.record import RunRecord
from benchmarks.records.row_labels import setting_text, settings
from benchmarks.report import tables
from benchmarks.report.findings import Findings
from benchmarks.report.frames import SectionFrames
from benchmarks.report.pictures import Picture, images
from benchmarks.report.rows import Section
from benchmarks.report.section import remarks
from benchmarks.report.speed import batch_parts, share_parts
from benchmarks.report.text import MISSING, escape, part, protocol, shorten, table

LEARNING_CAPTION = (
    "Means over seeds, with bands from minimum to maximum. Training values are epoch averages while the weights "
    f"change; validation is after each epoch. {protocol('measuring.md#learning-curves')}"
)
CLASSES_CAPTION = "Best row of each model. Classes have few test images, so small gaps between markers may be chance."


def section_details(
    frames: SectionFrames, findings: Findings, failed: Mapping[str, str], pictures: Sequence[Picture] = ()
) -> list[str]:
    """The parts of a section's details page, each with its heading.

    Args:
        frames: of the section.
        findings: of the section.
        failed: failed equivalence checks of arms, by configuration key.
        pictures: the section's figures.
    """
    section = frames.section
    learning, classes = images(pictures, "learning"), images(pictures, "classes", "reliability")
    return [
        *([part("Learning", LEARNING_CAPTION, *learning)] if learning else []),
        *([part("Classes and confidence", CLASSES_CAPTION, *classes)] if classes else []),
        *findings.details,
        *share_parts(section),
        *images(pictures, "batches"),
        *batch_parts(section),
        *_class_parts(frames, pictures),
        *_evidence(section, failed),
        part("Recipe and runs by row", *_runs(section)),
    ]


def _evidence(section: Section, failed: Mapping[str, str]) -> list[str]:
    """Evidence for the footnotes of each row; empty if there is none."""
    lines = []
    for place, (note, rows) in enumerate(remarks(section, failed).items(), start=1):
        found = [f"{label}: {evidence}" for label, evidence in rows.items() if evidence]
        if found:
            lines.append(f"<sup>{place}</sup> {escape(note)} {escape('; '.join(found))}")
    return [part("Footnotes", "\n\n".join(lines))] if lines else []


def _class_parts(frames: SectionFrames, pictures: Sequence[Picture]) -> list[str]:
    """Scores by class and confusion matrices; empty if no run was tested."""
    if not frames.per_class:
        return []
    scores = [
        "Recall (accuracy within each class), %:",
        tables.class_table(frames.per_class, "recall"),
        "F1, %:",
        tables.class_table(frames.per_class, "f1"),
    ]
    matrices = [*images(pictures, "confusion"), tables.confusion_tables(frames.confusion)]
    return [part("Scores by class", *scores), part("Confusion matrices", *matrices)]


def _runs(section: Section) -> list[str]:
    """Settings shared by all rows, and each row's own settings with links to its records."""
    flats = [settings(row.config) for row in section.rows]
    shared = {name: value for name, value in flats[0].items() if all(flat.get(name) == value for flat in flats)}
    rows = []
    for row, flat in zip(section.rows, flats, strict=True):
        own = ", ".join(setting_text(name, value) for name, value in flat.items() if name not in shared)
        reasons = dict.fromkeys(record.execution["reason"] for record in row.records if record.execution)
        choice = shorten("; ".join(filter(None, reasons)))
        links = ", ".join(map(_links, row.records))
        rows.append([escape(row.label), escape(own) or MISSING, escape(choice) or MISSING, links])
    common = ", ".join(f"{name.rpartition('.')[2]}={value}" for name, value in shared.items())
    headers = ["model", "own settings", "reason for precision and engine", "record by seed"]
    return [f"Shared settings: {escape(common)}.", table(headers, rows, words=headers)]


def _links(record: RunRecord) -> str:
    """Links to a run's record and, if there is one, its profile."""
    link = f"[{record.seed}](runs/{record.run_id}.json)"
    return f"{link} ([profile]({quote(record.profile['page'])}))" if record.profile else link
