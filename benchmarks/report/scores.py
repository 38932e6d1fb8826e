"""Scores beyond top-1: macro averages, likelihood and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.report.answers import Answers, RunAnswers
from benchmarks.report.cells import Frame, average
from benchmarks.report.columns import COLUMNS
from benchmarks.report.frames import rows_frame
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, escape, number, part, protocol, table
from benchmarks.stats.calibration import NUM_BINS, expected_calibration_error, reliability


def scores_frame(section: Section, answers: Answers) -> Frame:
    """Scores of each configuration with a successful run, means over runs."""
    return rows_frame(section, [(row, _scores(row, answers)) for row in section.rows if row.ok])


def reliability_frame(section: Section, answers: Answers) -> Frame:
    """Images, mean confidence and accuracy by configuration and confidence bin, over all runs."""
    return rows_frame(section, [(row, cells) for row in section.rows for cells in _bins(row, answers)])


def _scores(row: Row, answers: Answers) -> dict[str, Any]:
    metrics = [record.metrics for record in row.ok if record.metrics]
    found = _answered(row, answers)
    macro = {
        f"macro_{score}": average(
            average(entry[score] for entry in scores["per_class"]) for scores in metrics
        )
        for score in ("precision", "recall", "f1")
    }  # fmt: skip
    return {
        **{key: COLUMNS[key].of(row) for key in ("num_seeds", "test_top1_pct")},
        **macro,
        "test_nll": COLUMNS["test_nll"].of(row),
        "num_bins": NUM_BINS,
        "ece_pct": average(100 * expected_calibration_error(reliability(run.correct, run.confidence)) for run in found),
        "mean_confidence_pct": average(100 * float(run.confidence.mean(dtype=np.float64)) for run in found),
    }


def _answered(row: Row, answers: Answers) -> list[RunAnswers]:
    """Answers of all runs of a row; empty if any are missing, since a mean over the rest would not be comparable."""
    found = [answers.by_run[record.run_id] for record in row.ok if record.run_id in answers.by_run]
    return found if len(found) == len(row.ok) else []


def _bins(row: Row, answers: Answers) -> list[dict[str, Any]]:
    found = _answered(row, answers)
    if not found:
        return []
    bins = reliability(
        np.concatenate([run.correct for run in found]), np.concatenate([run.confidence for run in found])
    )
    return [
        {
            "num_runs": len(found),
            "confidence_above": group.low,
            "confidence_up_to": group.high,
            "num_images": group.num_images,
            "mean_confidence": group.mean_confidence,
            "accuracy": group.accuracy,
        }
        for group in bins
    ]


def scores_text(frame: Frame, reasons: Sequence[str]) -> list[str]:
    """The table of a section's scores; empty if no run was tested."""
    if not frame:
        return []
    columns = {
        "model": lambda row: escape(row["variant"]),
        "macro precision, %": lambda row: _percent(row, "macro_precision"),
        "macro recall, %": lambda row: _percent(row, "macro_recall"),
        "macro F1, %": lambda row: _percent(row, "macro_f1"),
        "NLL, nats": lambda row: number(row["test_nll"], 3),
        f"ECE ({NUM_BINS} bins), points": lambda row: number(row["ece_pct"], 2),
        "confidence minus accuracy, points": _overconfidence,
    }
    text = table(list(columns), [[cell(row) for cell in columns.values()] for row in frame])
    caption = (
        "Means over runs; macro averages weight all classes equally; ECE bins are in "
        "[reliability.csv](reliability.csv). Last column above 0: overconfident. "
        f"{protocol('measuring.md#calibration')}"
    )
    if reasons:
        caption += f" No calibration without per-image predictions ({escape('; '.join(reasons))})."
    return [part("Scores beyond top-1: macro averages, likelihood, calibration", text, caption)]


def _percent(row: Mapping[str, Any], name: str) -> str:
    return MISSING if row[name] is None else number(100 * row[name], 2)


def _overconfidence(row: Mapping[str, Any]) -> str:
    sure = row["mean_confidence_pct"]
    return MISSING if sure is None else f"{sure - row['test_top1_pct']:+.2f}"
