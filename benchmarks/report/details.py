"""The page of a section's own: what fewer people read than its tables of accuracy, speed and cost."""

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
    "Means over seeds, with bands from the lowest to the highest. Training values are measured while the weights "
    f"change, validation after the epoch. {protocol('measuring.md#learning-curves')}"
)
CLASSES_CAPTION = "The best row of each model. A class has few test images: a gap between two markers may be chance."


def section_details(
    frames: SectionFrames, findings: Findings, failed: Mapping[str, str], pictures: Sequence[Picture] = ()
) -> list[str]:
    """The parts of a section's own page, each with its heading.

    Args:
        frames: of the section.
        findings: what follows from its records.
        failed: what is wrong with arms that don't compute the same, by configuration key.
        pictures: its figures.
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
        part("Recipe and runs of each row", *_runs(section)),
    ]


def _evidence(section: Section, failed: Mapping[str, str]) -> list[str]:
    """What each row's footnotes rest on; nothing where none has evidence."""
    lines = []
    for place, (note, rows) in enumerate(remarks(section, failed).items(), start=1):
        found = [f"{label}: {evidence}" for label, evidence in rows.items() if evidence]
        if found:
            lines.append(f"<sup>{place}</sup> {escape(note)} {escape('; '.join(found))}")
    return [part("Footnotes", "\n\n".join(lines))] if lines else []


def _class_parts(frames: SectionFrames, pictures: Sequence[Picture]) -> list[str]:
    """Scores by class and confusion matrices; nothing where no run was tested."""
    if not frames.per_class:
        return []
    scores = [
        "Recall, % (the accuracy within each class):",
        tables.class_table(frames.per_class, "recall"),
        "F1, %:",
        tables.class_table(frames.per_class, "f1"),
    ]
    matrices = [*images(pictures, "confusion"), tables.confusion_tables(frames.confusion)]
    return [part("Scores by class", *scores), part("Confusion matrices", *matrices)]


def _runs(section: Section) -> list[str]:
    """The settings that all rows share, and for each row those that are its own, with a link to each record."""
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
    headers = ["model", "its own", "why this precision and engine", "record by seed"]
    return [f"All rows: {escape(common)}.", table(headers, rows, words=headers)]


def _links(record: RunRecord) -> str:
    """To a run's record, and to its profile where it has one."""
    link = f"[{record.seed}](runs/{record.run_id}.json)"
    return f"{link} ([profile]({quote(record.profile['page'])}))" if record.profile else link
