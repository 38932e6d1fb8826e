"""The arms of an A/A check: models in the precisions and engines asked for, with the recipe of the equal track."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.records.record import RunRecord
from benchmarks.records.selfcheck import Arm, step_work
from benchmarks.records.store import RecordStore
from benchmarks.selfcheck.config import SelfcheckConfig
from benchmarks.sweep.config import PRESETS, recipe_for
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import get_spec
from fmnist_zoo.training.device import check_engine
from fmnist_zoo.training.precision import check_precision


def arms(options: SelfcheckConfig, models: Sequence[str], device: torch.device, machine_dir: Path) -> dict[str, Arm]:
    """Arms by label, which says precision and engine only where they vary.

    Raises:
        ValueError: this device has no such precision or engine.
    """
    preset = ("standard" if device.type == "cuda" else "quick") if options.preset == "auto" else options.preset
    for precision in options.precision:
        if precision != "auto":
            check_precision(precision, device)
    for engine in options.engine:
        if engine != "auto":
            check_engine(engine, device)
    records, _ = RecordStore(machine_dir).read_all()
    found: list[Arm] = []
    for model, precision, engine in itertools.product(models, options.precision, options.engine):
        recipe = recipe_for(get_spec(model), "equal", PRESETS[preset])[0]
        arm: Arm = {"model": model, "precision": precision, "engine": engine, "recipe": recipe.as_dict()}
        if "auto" in (precision, engine):
            arm["precision"], arm["engine"] = _recorded(arm, recipe, records)
        if arm not in found:
            found.append(arm)
    alike = len({(arm["precision"], arm["engine"]) for arm in found}) == 1
    return {arm["model"] if alike else f"{arm['model']} {arm['precision']} {arm['engine']}": arm for arm in found}


def _recorded(arm: Arm, recipe: Recipe, records: Sequence[RunRecord]) -> tuple[str, str]:
    """What `auto` was last decided to be for such a run on this machine; fp32 and eager where none is recorded."""
    wanted = arm["precision"], arm["engine"]
    done = [
        (run.started_at, run.execution["precision"], run.execution["engine"])
        for run in records
        if run.status == "ok" and run.execution and run.model == arm["model"] and not run.config["model_options"]
        if step_work(run.config["recipe"]) == step_work(recipe.as_dict())
        if wanted[0] in ("auto", run.execution["precision"]) and wanted[1] in ("auto", run.execution["engine"])
    ]
    if done:
        return max(done)[1:]
    precision, engine = ("fp32" if wanted[0] == "auto" else wanted[0]), ("eager" if wanted[1] == "auto" else wanted[1])
    print(f"{arm['model']}: no run recorded here says what auto is; {precision} {engine} is measured", file=sys.stderr)
    return precision, engine
