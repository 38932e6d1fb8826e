"""The arms of an A/A check: models in the requested precisions and engines, with the equal track's recipe."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.records.processes import step_work
from benchmarks.records.record import RunRecord
from benchmarks.records.selfcheck import Arm
from benchmarks.records.store import RecordStore
from benchmarks.selfcheck.config import SelfcheckConfig
from benchmarks.sweep.config import PRESETS, recipe_for
from fmnist_zoo.registry import get_spec


def arms(options: SelfcheckConfig, models: Sequence[str], device: str, machine_dir: Path) -> dict[str, Arm]:
    """Arms by label; labels include precision and engine only if they vary."""
    preset = ("standard" if device.startswith("cuda") else "quick") if options.preset == "auto" else options.preset
    records, _ = RecordStore(machine_dir).read_all()
    found: list[Arm] = []
    asked = list(itertools.product(options.precision, options.engine))
    for model in models:
        recipe = recipe_for(get_spec(model), "equal", PRESETS[preset])[0].as_dict()
        kinds = dict.fromkeys(_decided(kind, model, recipe, records) for kind in asked)
        found += [{"model": model, "precision": kind[0], "engine": kind[1], "recipe": recipe} for kind in kinds]
    alike = len({(arm["precision"], arm["engine"]) for arm in found}) == 1
    return {arm["model"] if alike else f"{arm['model']} {arm['precision']} {arm['engine']}": arm for arm in found}


def _decided(
    asked: tuple[str, str], model: str, recipe: dict[str, Any], records: Sequence[RunRecord]
) -> tuple[str, str]:
    """Precision and engine, with `auto` as in the latest such run on this machine, else fp32 and eager."""
    if "auto" not in asked:
        return asked
    done = [
        (run.started_at, run.execution["precision"], run.execution["engine"])
        for run in records
        if run.status == "ok" and run.execution and run.model == model and not run.config["model_options"]
        if step_work(run.config["recipe"]) == step_work(recipe)
        if asked[0] in ("auto", run.execution["precision"]) and asked[1] in ("auto", run.execution["engine"])
    ]
    if done:
        return max(done)[1:]
    precision, engine = ("fp32" if asked[0] == "auto" else asked[0]), ("eager" if asked[1] == "auto" else asked[1])
    print(f"{model}: no recorded run resolves auto; measuring {precision} {engine}", file=sys.stderr)
    return precision, engine
