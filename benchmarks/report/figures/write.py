"""Figures of a machine's folder, written as SVG and PNG."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from benchmarks.records.arms import ArmsRecord
from benchmarks.report.figures.arms import arms_sketch
from benchmarks.report.figures.confusion import confusions, difference_figure
from benchmarks.report.figures.sections import section_sketches
from benchmarks.report.figures.style import Sketch
from benchmarks.report.findings import PageFindings
from benchmarks.report.frames import SectionFrames, confusion_frame
from benchmarks.report.pictures import Picture, Pictures
from benchmarks.report.rows import Conditions, Section
from benchmarks.report.section import conditions_text
from benchmarks.report.verdict import find_row
from fmnist_zoo.files import write_atomically
from fmnist_zoo.plotting.style import looks, saved

FIGURES = "figures"


def write_figures(
    folder: Path,
    parts: Sequence[SectionFrames],
    findings: PageFindings,
    comparisons: Sequence[ArmsRecord],
    before: Iterable[str] = (),
) -> Pictures:
    """Draw all figures of a machine's pages, and remove obsolete ones of the previous report.

    Args:
        folder: of the machine.
        parts: the frames of each section.
        findings: of the sections.
        comparisons: of arms, one for each set of arms.
        before: the pages of the previous report.
    """
    by_section = {}
    for part, prefix, sketches in sketched(parts, findings):
        by_section[part.section.conditions] = [_write(folder, prefix, sketch) for sketch in sketches]
    arms = [_write(folder, "", sketch) for sketch in arms_sketch(comparisons)]
    pictures = Pictures(by_section, arms)
    _remove_others(folder, before, {picture.path for shown in [*by_section.values(), arms] for picture in shown})
    return pictures


def pair_bytes(section: Section, pair: tuple[str, str]) -> dict[str, bytes] | None:
    """The difference of two rows' confusion matrices as files by suffix; None if the section lacks one of them."""
    rows = [find_row(section, name) for name in pair]
    found = confusions(confusion_frame(section))
    first, second = (found.get(row.label) if row is not None else None for row in rows)
    if first is None or second is None:
        return None
    with looks():
        return saved(difference_figure(first, second, html.unescape(conditions_text(section.conditions))))


def sketched(
    parts: Sequence[SectionFrames], findings: PageFindings
) -> Iterator[tuple[SectionFrames, str, Iterator[Sketch]]]:
    """Each section with its file name prefix and its figures, not yet drawn.

    The first section with the most models of each dataset and track is the main one and has all figures; a model's
    confusion matrix is in the first main section with that model.
    """
    main: dict[tuple[str, str], Conditions] = {}
    for part in sorted(parts, key=lambda part: -len(_models(part))):
        main.setdefault((part.section.conditions.dataset, part.section.conditions.track), part.section.conditions)
    known: set[str] = set()
    for part in parts:
        conditions = part.section.conditions
        words = html.unescape(conditions_text(conditions))
        frames = findings.by_section[conditions].frames
        is_main = main[conditions.dataset, conditions.track] == conditions
        new_models = _models(part) - known if is_main else None
        known |= new_models or set()
        yield part, f"{conditions.file_name}-", section_sketches(part, frames, words, new_models=new_models)


def _models(part: SectionFrames) -> set[str]:
    return {row.config["model"] for row in part.section.rows if row.ok}


def _write(folder: Path, prefix: str, sketch: Sketch) -> Picture:
    name = f"{FIGURES}/{prefix}{sketch.name}"
    with looks():
        for suffix, content in saved(sketch.draw(), small=True).items():
            write_atomically(folder / f"{name}.{suffix}", content)
    return Picture(kind=sketch.kind, path=f"{name}.svg", alt=sketch.alt)


def _remove_others(folder: Path, before: Iterable[str], paths: set[str]) -> None:
    """Remove figures of the previous report that the new one lacks; other files in the folder are kept."""
    for name in re.findall(rf"\]\(({FIGURES}/[0-9A-Za-z_.-]+)\.svg\)", "\n".join(before)):
        if f"{name}.svg" not in paths:
            for suffix in ("svg", "png"):
                (folder / f"{name}.{suffix}").unlink(missing_ok=True)
