"""Figures from the epochs of the arms: speeds, ratios by round, and time to accuracy. Missing is None.

Also lines of user code.
"""

from __future__ import annotations

import ast
import itertools
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.peers.process import ArmEpoch


def figures(epochs: Sequence[ArmEpoch], reference: Sequence[ArmEpoch], target_pct: float) -> dict[str, Any]:
    """Figures of an arm.

    Args:
        epochs: of the arm, one per round; the first includes set-up and compilation.
        reference: epochs of the reference arm; empty if there is none.
        target_pct: validation top-1, in percent.
    """
    last = epochs[-1] if epochs else None
    return {
        "train_img_per_s": statistics.median(speeds(epochs)) if len(epochs) > 1 else None,
        "first_epoch_s": epochs[0].epoch_s if epochs else None,
        "speed_ratio": ratio(epochs, reference),
        "time_to_target_s": time_to_target(epochs, target_pct),
        "final_train_loss": last.train_loss if last else None,
        "final_val_top1_pct": last.val_top1_pct if last else None,
        "peak_mem_mib": last.peak_mem_mib if last else None,
        "device": last.device if last else None,
        "epoch_s": [epoch.epoch_s for epoch in epochs],
        "images_per_epoch": last.num_images if last else None,
        "train_loss": [epoch.train_loss for epoch in epochs],
        "val_top1_pct": [epoch.val_top1_pct for epoch in epochs],
    }


def speeds(epochs: Sequence[ArmEpoch]) -> list[float]:
    """Images per second of each epoch after the first."""
    return [epoch.num_images / epoch.epoch_s for epoch in epochs[1:]]


def ratio(epochs: Sequence[ArmEpoch], reference: Sequence[ArmEpoch]) -> dict[str, float] | None:
    """Speed-up of the reference: median, minimum and maximum over rounds, without the first."""
    found = [ours / theirs for ours, theirs in zip(speeds(reference), speeds(epochs), strict=False)]
    if not found:
        return None
    return {"median": statistics.median(found), "min": min(found), "max": max(found)}


def time_to_target(epochs: Sequence[ArmEpoch], target_pct: float) -> float | None:
    """Training seconds, the first epoch included, to the end of the first epoch that reaches the target."""
    elapsed = itertools.accumulate(epoch.epoch_s for epoch in epochs)
    reached = (seconds for epoch, seconds in zip(epochs, elapsed, strict=True) if epoch.val_top1_pct >= target_pct)
    return next(reached, None)


def code_lines(source: str, names: Iterable[str]) -> int:
    """Lines of top-level functions and classes of a module, without blanks, comments and docstrings.

    Raises:
        ValueError: no function or class has one of the names.
    """
    lines = source.splitlines()
    found = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    if unknown := set(names) - set(found):
        raise ValueError(f"no function or class {', '.join(sorted(unknown))}; use one of: {', '.join(found)}")
    nodes = [found[name] for name in names]
    numbers = {number for node in nodes for number in _span(node)} - {
        number
        for outer in nodes
        for node in ast.walk(outer)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None
        for number in _span(node.body[0])
    }
    return sum(lines[number - 1].strip()[:1] not in ("", "#") for number in numbers)


def _span(node: ast.stmt) -> range:
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return range(first, (node.end_lineno or first) + 1)
