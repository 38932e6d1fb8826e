"""Which runs were in one process, and which did the same work, so that their speeds differ by the machine's drift."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from benchmarks.records.record import RunRecord

STEP_WORK = ("batch_size", "input_scaling", "loss", "optimizer", "augmentation", "ema_decay", "clip_grad_norm")
"""The fields of a recipe that change what a training step does; the others change numbers alone."""

Arm = tuple[Hashable, ...]
"""A model in a precision and engine, with the work of one recipe's step."""


def processes(records: Sequence[RunRecord]) -> dict[str, str]:
    """The process of each run, by run id, called by the id of its first run.

    The seeds of a configuration share a process as long as it lives; only its first run waits for imports.
    """
    found: dict[str, str] = {}
    first: dict[str, str] = {}
    for run in sorted(records, key=lambda run: (run.started_at, run.run_id)):
        if run.ledger["import_s"] or run.config_key not in first:
            first[run.config_key] = run.run_id
        found[run.run_id] = first[run.config_key]
    return found


def arm_of(run: RunRecord) -> Arm | None:
    """What ran: its precision and engine as they were decided, its batch as it fitted; None where that isn't known."""
    if run.execution is None:
        return None
    batch = run.throughput["train_batch_size"] if run.throughput else None
    recipe = run.config["recipe"] | ({"batch_size": batch} if batch else {})
    return arm(run.model, run.config["model_options"], run.execution["precision"], run.execution["engine"], recipe)


def arm(model: str, options: Mapping[str, Any], precision: str, engine: str, recipe: Mapping[str, Any]) -> Arm:
    """The arm of a model with its options in a precision and engine that were decided."""
    return model, json.dumps(options, sort_keys=True), precision, engine, step_work(recipe)


def step_work(recipe: Mapping[str, Any]) -> str:
    """What a recipe makes a training step do, as JSON: equal for two that take as long."""
    return json.dumps([recipe.get(name) for name in STEP_WORK])
