"""Time to accuracy: cost of reaching a validation top-1, and the share of seeds that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.report.cells import Frame, by_variant
from benchmarks.report.frames import rows_frame
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, escape, part, protocol, significant, table
from benchmarks.stats.targets import Effort, effort
from fmnist_zoo.history import EpochStats

TARGETS_PCT = (85.0, 88.0, 90.0, 92.0, 93.0, 94.0, 95.0)

Spent = Callable[[RunRecord, EpochStats], float | None]


def targets_frame(section: Section) -> Frame:
    """A row for each configuration and target; empty without validation images."""
    return rows_frame(section, [(row, cells) for row in section.rows for cells in _cells(row)])


def _cells(row: Row) -> list[dict[str, Any]]:
    runs = [record for record in row.records if record.status in ("ok", "diverged") and _validated(record)]
    return [{"target_val_top1_pct": target, **_to_target(runs, target)} for target in TARGETS_PCT] if runs else []


def _to_target(runs: Sequence[RunRecord], target_pct: float) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "num_hits": sum(_first(run, target_pct) is not None for run in runs),
        "num_runs": len(runs),
    }
    for name, (_, spent) in _SPENT.items():
        found = _effort(runs, target_pct, spent)
        cells |= {
            f"median_{name}": found.median if found else None,
            f"more_than_{name}": found.more_than if found else None,
        }
    return cells


def _effort(runs: Sequence[RunRecord], target_pct: float, spent: Spent) -> Effort | None:
    """The median effort; None if it is unknown for any run."""
    ends = [spent(run, _validated(run)[-1]) for run in runs]
    firsts = [_first(run, target_pct) for run in runs]
    reached = [None if first is None else spent(run, first) for run, first in zip(runs, firsts, strict=True)]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends) or any(first and value is None for first, value in zip(firsts, reached, strict=True)):
        return None
    return effort(reached, known)


def _validated(run: RunRecord) -> list[EpochStats]:
    return [epoch for epoch in run.history if epoch["val_top1_pct"] is not None]


def _first(run: RunRecord, target_pct: float) -> EpochStats | None:
    return next((epoch for epoch in _validated(run) if (epoch["val_top1_pct"] or 0) >= target_pct), None)


def _images(run: RunRecord, epoch: EpochStats) -> float | None:
    steps = epoch.get("num_steps")
    batch_size = run.config["recipe"].get("batch_size")
    return steps * batch_size if steps is not None and isinstance(batch_size, int) else None


def _pflops(run: RunRecord, epoch: EpochStats) -> float | None:
    images = _images(run, epoch)
    return None if images is None or run.cost is None else images * run.cost["training_gflops"] / 1e6


def _kilojoules(run: RunRecord, epoch: EpochStats) -> float | None:
    """Training energy up to an epoch, assuming constant power."""
    energy, images = run.energy, _images(run, epoch)
    per_1000 = energy["train_j_per_1000_img"] if energy else None
    return None if images is None or per_1000 is None else images * per_1000 / 1e6


_SPENT: dict[str, tuple[str, Spent]] = {
    "train_s": ("Training time, s", lambda run, epoch: epoch["elapsed_s"]),
    "train_pflop": ("Training compute, PFLOP (1e15 operations, counted)", _pflops),
    "train_kj": ("GPU energy, kJ (of training, in proportion to images)", _kilojoules),
}
"""Kinds of effort: title, and the amount spent up to an epoch."""


def targets_text(frame: Frame) -> list[str]:
    """Tables of training time and, if known, compute and energy."""
    if not frame:
        return []
    parts = []
    for name, (title, _) in _SPENT.items():
        if any(row[f"{kind}_{name}"] is not None for row in frame for kind in ("median", "more_than")):
            parts.append(f"{title}:\n\n{_table(frame, name)}")
    if not parts:
        return []
    missed = [target for target in TARGETS_PCT if not _hits(frame, target)]
    caption = (
        "Median over seeds until the first epoch whose validation top-1 reaches the target, excluding compilation and "
        "evaluation, and the number of seeds that reach it. `>`: lower bound, since half or more of the seeds missed "
        f"it. {protocol('measuring.md#time-to-accuracy')}"
    )
    if missed:
        caption += f" No run reached {', '.join(f'{target:g}%' for target in missed)}."
    return [part("Time to accuracy", caption, *parts)]


def _hits(frame: Frame, target: float) -> int:
    return sum(row["num_hits"] for row in frame if row["target_val_top1_pct"] == target)


def _table(frame: Frame, name: str) -> str:
    targets = [target for target in TARGETS_PCT if _hits(frame, target)] or [TARGETS_PCT[0]]
    lines = []
    for variant, group in by_variant(frame).items():
        cells = {row["target_val_top1_pct"]: _cell(row, name) for row in group}
        lines.append([escape(variant), *(cells[target] for target in targets)])
    return table(["model", *(f"to {target:g}%" for target in targets)], lines)


def _cell(row: Mapping[str, Any], name: str) -> str:
    middle, bound = row[f"median_{name}"], row[f"more_than_{name}"]
    if middle is None and bound is None:
        return MISSING
    spent = f"> {significant(bound)}" if middle is None else significant(middle)
    return f"{spent} ({row['num_hits']}/{row['num_runs']})"
