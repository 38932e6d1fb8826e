"""Equal tuning effort: the same number of trials for every model, one model at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.measure.machine_details import environment_of
from benchmarks.records.machine import Machine, machine_folder
from benchmarks.records.schema import Environment
from benchmarks.records.tuning import (
    FOLDER,
    SCHEMA_VERSION,
    About,
    Trial,
    TrialResult,
    best,
    summary,
    trial_line,
    write_search,
)
from benchmarks.sweep.config import PRESETS, recipe_for
from benchmarks.tune.config import TuneConfig
from benchmarks.tune.search import earlier, search
from benchmarks.tune.worker import TrialJob
from benchmarks.workers.client import Serving, Worker, serving
from benchmarks.workers.server import environment
from benchmarks.workers.slot import Slot
from fmnist_zoo.files import check_writable
from fmnist_zoo.recipe import Budget, Recipe
from fmnist_zoo.registry import get_spec, load_plugin, select_models
from fmnist_zoo.training.device import resolve_device

WORKLOAD = "benchmarks.tune.worker:Trainer"
"""What a worker of a search does."""
NUM_VAL = 5000


def trial_worker() -> Worker:
    """A process for one model's trials, with the environment of measured runs."""
    return Worker(command=serving(WORKLOAD))


def tune(options: TuneConfig, command: str, *, new_worker: Callable[[], Serving] = trial_worker) -> int:
    """Search for every model.

    Args:
        options: what to search.
        command: the command line, for the record.
        new_worker: creates the worker for one model's trials; a fake in tests.

    Returns:
        The exit code: 0, or 1 where no trial of some model ended well.

    Raises:
        ValueError: an option makes no sense, nothing can be written to `out`, or earlier trials had another recipe.
        OSError: a trial can't be kept.
    """
    if options.trials < 1:
        raise ValueError(f"--trials {options.trials} must be at least 1")
    for path in options.plugin:
        load_plugin(path)
    models = select_models(options.models)
    recipe = equal_recipe(models[0], options)
    device = str(resolve_device(options.device))
    here = environment_of(device, num_threads=None, variables=environment())
    about = _about(options, recipe, command, here)
    folder = machine_folder(options.out, Machine.of(here)) / FOLDER
    check_writable(folder, "--out", options.out)
    name = f"{options.preset}-{recipe.optimizer}-{str(recipe.budget).replace(':', '').replace('+', '')}"
    setting = {"recipe": about["recipe"], "dataset": options.dataset}
    found = earlier(folder / f"{name}.journal", setting=setting, seed=options.seed)

    def keep(model: str, trials: list[Trial]) -> None:
        found[model] = trials
        write_search(folder / f"{name}.json", about, found)

    def on_trial(model: str, trials: list[Trial]) -> None:
        keep(model, trials)
        print(trial_line(model, trials), flush=True)

    for model in models:
        with Slot(new_worker, device) as slot:
            trials = search(
                folder / f"{name}.journal",
                model,
                train=partial(trained, slot, model, recipe, options),
                num_trials=options.trials,
                optimizer=recipe.optimizer,
                first=(recipe.lr, recipe.weight_decay),
                setting=setting,
                seed=options.seed,
                on_trial=partial(on_trial, model),
            )
        keep(model, trials)
    chosen = {model: found[model] for model in models}
    print(summary(chosen, recipe.optimizer, folder / f"{name}.json"))
    return 0 if all(best(trials) for trials in chosen.values()) else 1


def equal_recipe(model: str, options: TuneConfig) -> Recipe:
    """The equal track's recipe, with rate and decay as they are where nothing was tuned: the same for all models."""
    untuned = replace(get_spec(model), tuned={})
    recipe, _ = recipe_for(untuned, "equal", PRESETS[options.preset], options.optimizer)
    return recipe if options.budget is None else replace(recipe, budget=Budget.parse(options.budget))


def _about(options: TuneConfig, recipe: Recipe, command: str, here: Environment) -> About:
    """Settings common to all models' trials."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "environment": {"hardware": here["hardware"], "software": here["software"], "details": here["details"]},
        "seed": options.seed,
        "trials_per_model": options.trials,
        "dataset": options.dataset,
        "preset": options.preset,
        "recipe": {name: value for name, value in recipe.as_dict().items() if name not in ("lr", "weight_decay")},
    }


def trained(slot: Slot, model: str, recipe: Recipe, options: TuneConfig, lr: float, weight_decay: float) -> TrialResult:
    """A trial with this rate and decay; always returns a result, even if its process dies."""
    job = TrialJob(
        config={
            "model": model,
            "model_options": {},
            "recipe": replace(recipe, lr=lr, weight_decay=weight_decay).as_dict(),
            "precision": "auto",
            "engine": "auto",
            "dataset": options.dataset,
            "num_val": NUM_VAL,
        },
        device=options.device,
        data_dir=None if options.data_dir is None else str(options.data_dir),
        plugins=[str(path) for path in options.plugin],
    )
    result = slot.run(job)
    found = {name: result.get(name) for name in TrialResult.__annotations__}
    return {**found, "wall_s": result["wall_s"] - (result["import_s"] or 0.0)}  # type: ignore[typeddict-item]
