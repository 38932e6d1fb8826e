"""All figures of a machine's folder, drawn but not written, with what they are of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.records.arms import ArmsRecord, ArmsStore
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.answers import Answers, read_answers
from benchmarks.report.arms import latest
from benchmarks.report.figures.arms import arms_sketch
from benchmarks.report.figures.style import Sketch
from benchmarks.report.figures.write import sketched
from benchmarks.report.findings import Findings, PageFindings
from benchmarks.report.frames import SectionFrames, section_frames
from benchmarks.report.fronts import fronts_frame
from benchmarks.report.rows import Section, sections
from benchmarks.report.scores import reliability_frame
from benchmarks.report.targets import targets_frame
from fmnist_zoo.plotting.style import looks

LETTERS = "bcde"
"""In place of the letters of pairs, which are many and take long: as long as any that a table is likely to have."""


@dataclass
class Drawing:
    """A figure, laid out; `part` is None for that of the arms."""

    part: SectionFrames | None
    frames: dict[str, Any]
    sketch: Sketch
    figure: Figure


@dataclass
class Drawings:
    """All of them, and what they are of."""

    all: list[Drawing]
    comparisons: Sequence[ArmsRecord]
    records: Sequence[RunRecord]

    def of(self, name: str) -> list[Drawing]:
        """Those of one kind, by the name of their file; there are some."""
        found = [drawing for drawing in self.all if drawing.sketch.name == name]
        assert found, name
        return found


def draw_all(folder: Path) -> Drawings:
    """Draw every figure of a machine's records once."""
    store = RecordStore(folder)
    records, problems = store.read_all()
    assert records and not problems
    shown = sections(records)
    answers = read_answers(store, [record for section in shown for row in section.rows for record in row.ok])
    parts = [section_frames(section, {row.records[0].config_key: LETTERS for row in section.rows}) for section in shown]
    found = PageFindings({section.conditions: _findings(section, answers) for section in shown}, [], [])
    comparisons = latest(ArmsStore(folder).read_all()[0])
    drawn: list[Drawing] = []
    with looks():
        for part, _, sketches in sketched(parts, found):
            frames = dict(found.by_section[part.section.conditions].frames)
            drawn += [Drawing(part, frames, sketch, sketch.draw()) for sketch in sketches]
        drawn += [Drawing(None, {}, sketch, sketch.draw()) for sketch in arms_sketch(comparisons)]
        for drawing in drawn:
            drawing.figure.draw_without_rendering()
    return Drawings(drawn, comparisons, records)


def _findings(section: Section, answers: Answers) -> Findings:
    frames = {
        "fronts.csv": fronts_frame(section, answers),
        "time_to_accuracy.csv": targets_frame(section),
        "reliability.csv": reliability_frame(section, answers),
    }
    return Findings({}, frames, [], [])
