"""Runs grouped by process, and by equal work, so that their speeds differ only by drift."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from benchmarks.records.record import RunRecord

STEP_WORK = ("batch_size", "input_scaling", "loss", "optimizer", "augmentation", "ema_decay", "clip_grad_norm")
"""Recipe fields that change the work of a training step; the others change only values."""

Arm = tuple[Hashable, ...]
"""Model, precision and engine, with the step work of a recipe."""


def processes(records: Sequence[RunRecord]) -> dict[str, str]:
    """Process of each run, by run id, named by its first run's id.

    Seeds of a configuration share a process while it lives; only its first run waits for imports.
    """
    found: dict[str, str] = {}
    first: dict[str, str] = {}
    for run in sorted(records, key=lambda run: (run.started_at, run.run_id)):
        if run.ledger["import_s"] or run.config_key not in first:
            first[run.config_key] = run.run_id
        found[run.run_id] = first[run.config_key]
    return found


def arm_of(run: RunRecord) -> Arm | None:
    """Arm of a run, with the precision, engine and batch size actually used; None if unknown."""
    if run.execution is None:
        return None
    batch = run.throughput["train_batch_size"] if run.throughput else None
    recipe = run.config["recipe"] | ({"batch_size": batch} if batch else {})
    return arm(run.model, run.config["model_options"], run.execution["precision"], run.execution["engine"], recipe)


def arm(model: str, options: Mapping[str, Any], precision: str, engine: str, recipe: Mapping[str, Any]) -> Arm:
    """Arm of a model and its options, with resolved precision and engine."""
    return model, json.dumps(options, sort_keys=True), precision, engine, step_work(recipe)


def step_work(recipe: Mapping[str, Any]) -> str:
    """Step work of a recipe, as JSON: equal for recipes of equal duration."""
    return json.dumps([recipe.get(name) for name in STEP_WORK])
