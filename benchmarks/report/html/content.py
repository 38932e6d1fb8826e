"""Content of the HTML page as one JSON value."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.records import selfcheck
from benchmarks.records.json_files import Problem
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report import noise
from benchmarks.report.answers import read_answers
from benchmarks.report.columns import COLUMNS
from benchmarks.report.frames import SectionFrames, class_names, matching, section_frames
from benchmarks.report.html.curves import COSTS, LEDGER_PARTS, learning_curves, ledger, points
from benchmarks.report.html.environment import machine_content
from benchmarks.report.html.mistakes import (
    Mistakes,
    gallery,
    labels_text,
    packed_errors,
    section_mistakes,
    voters_by_label,
)
from benchmarks.report.html.sweeps import RATES, sweeps
from benchmarks.report.html.tables import section_tables
from benchmarks.report.pairs import letters, section_groups
from benchmarks.report.rows import Row, Section, sections
from benchmarks.report.section import conditions_text
from fmnist_zoo.plotting.style import model_look

SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross", "X": "x",
    "*": "star", "h": "hexagon", "<": "triangle-left", ">": "triangle-right", "p": "pentagon", "d": "diamond-tall",
}  # fmt: skip
"""Plotly's names for matplotlib's markers; style.css has a shape for each."""

Found = Mapping[Path, tuple[Sequence[RunRecord], Sequence[Problem]]]


@dataclass(slots=True)
class Content:
    """Content of the page.

    Attributes:
        data: everything but predictions and pictures; `data["sets"]` says which of these are included.
        errors: packed errors for each set and row, or None; in order of priority.
        mistakes: of sets by dataset name and checksum.
    """

    data: dict[str, Any]
    errors: list[list[str | None]] = field(default_factory=list)
    mistakes: dict[tuple[str, str], list[Mistakes]] = field(default_factory=lambda: defaultdict(list))


def page_content(found: Found) -> Content:
    """Content from the records of machine folders: every machine with records, every set of comparable runs."""
    lists = {"ledger_parts": LEDGER_PARTS, "costs": COSTS, "rates": RATES, "accuracy": COLUMNS["test_top1_pct"].axis}
    content = Content({"machines": [], "sets": [], "sweeps": [], "datasets": {}, **lists})
    for folder, (records, problems) in found.items():
        if records:
            _add_machine(content, folder, records, problems)
    return content


def _add_machine(content: Content, folder: Path, records: Sequence[RunRecord], problems: Sequence[Problem]) -> None:
    """Add a machine with all of its sets."""
    shown = sections(records)
    counted = [record for section in shown for row in section.rows for record in row.records]
    store, place = RecordStore(folder), len(content.data["machines"])
    checked, fault = selfcheck.read(folder)
    answers = read_answers(store, counted)
    machine = machine_content(folder.name, counted, [*problems, *([fault] if fault else [])])
    is_one = len({section.machine for section in shown}) == 1
    floor = noise.between_rows(checked if is_one else None, shown[0].machine)
    words = html.unescape(floor).replace("`", "")  # Markdown to plain text
    content.data["machines"].append({**machine, "noise": words})
    for section in shown:
        title = html.unescape(conditions_text(section.conditions))
        part = section_frames(section, letters(section_groups(section, answers)))
        mistakes = section_mistakes(section, store, answers)
        entry = _set_content(part, mistakes)
        content.data["sets"].append({"machine": place, "title": title, **entry})
        content.data["sweeps"] += [{"machine": place, **sweep} for sweep in sweeps(section, title)]
        voters = voters_by_label(mistakes.votes)
        content.errors.append(
            [
                packed_errors(mistakes.votes, voters[row.label]) if mistakes.votes and row.label in voters else None
                for row in section.rows
            ]
        )
        if mistakes.votes and mistakes.checksum:
            content.mistakes[section.conditions.dataset, mistakes.checksum].append(mistakes)
            content.data["datasets"][mistakes.checksum] = {"labels": labels_text(mistakes.votes.labels)}


def _set_content(part: SectionFrames, mistakes: Mistakes) -> dict[str, Any]:
    """Tables, plots, matrices and the gallery of one set."""
    section, votes = part.section, mistakes.votes
    voters = voters_by_label(votes)
    return {
        "dataset": mistakes.checksum,
        "classes": _classes(section),
        "rows": [
            {
                "label": row.label,
                "model": row.config["model"],
                **_look(row.config["model"]),
                "curves": learning_curves(row),
                "ledger": ledger(row),
                "confusion": _confusion(row, _classes(section)),
                "num_voting": len(voters[row.label].predicted) if row.label in voters else 0,
            }
            for row in section.rows
        ],
        "points": points(part),
        "tables": section_tables(part),
        "notes": [[entry["variant"], entry["flags"]] for entry in part.throughput if entry["flags"]],
        "failures": [
            [row.label, record.seed, record.status, record.error]
            for row in section.rows
            for record in row.records
            if record.status != "ok"
        ],
        "gallery": gallery(votes) if votes else None,
        "reasons": list(mistakes.reasons),
    }


def _look(model: str) -> dict[str, str]:
    """Colour and symbol of a model, as in the figures."""
    look = model_look(model)
    return {"color": look.color, "symbol": SYMBOLS[look.marker]}


def _classes(section: Section) -> list[str]:
    """The classes of the first row that has any; rows with other classes get no matrix."""
    return next((names for row in section.rows if (names := class_names(row))), [])


def _confusion(row: Row, classes: Sequence[str]) -> dict[str, Any] | None:
    """Test images by true and predicted class, summed over runs."""
    runs = matching(row)
    if not runs or class_names(row) != classes:
        return None
    matrices = [record.metrics["confusion_matrix"] for record in runs if record.metrics]
    counts = [[sum(cells) for cells in zip(*lines, strict=True)] for lines in zip(*matrices, strict=True)]
    return {"num_runs": len(runs), "counts": counts}
