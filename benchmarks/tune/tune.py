"""The same number of trials for every model, one model after the other."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
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
from benchmarks.tune.process import TrialProcess
from benchmarks.tune.search import earlier, search
from benchmarks.tune.worker import TrialJob
from benchmarks.workers.server import environment
from fmnist_zoo.files import check_writable
from fmnist_zoo.recipe import Budget, Recipe
from fmnist_zoo.registry import get_spec, load_plugin, select_models
from fmnist_zoo.training.device import resolve_device

NewTrainer = Callable[[], AbstractContextManager[Callable[[TrialJob], TrialResult]]]


def tune(options: TuneConfig, command: str, *, new_trainer: NewTrainer = TrialProcess) -> int:
    """Search for every model.

    Args:
        options: what to search.
        command: the command line, for the record.
        new_trainer: makes what trains the trials of one model; a fake in tests.

    Returns:
        The exit code: 0, or 1 where no trial of some model ended well.

    Raises:
        ValueError: an option makes no sense, nothing can be written to `out`, or earlier trials had another recipe.
        OSError: a trial can't be kept.
    """
    if options.trials < 1:
        raise ValueError(f"--trials {options.trials}: give 1 or more")
    for path in options.plugin:
        load_plugin(path)
    models = select_models(options.models)
    recipe = equal_recipe(models[0], options)
    here = environment_of(str(resolve_device(options.device)), num_threads=None, variables=environment())
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
        with new_trainer() as trainer:
            trials = search(
                folder / f"{name}.journal",
                model,
                train=_trial(trainer, model, recipe, options),
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
    """What all models' trials have in common."""
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


def _trial(
    trainer: Callable[[TrialJob], TrialResult], model: str, recipe: Recipe, options: TuneConfig
) -> Callable[[float, float], TrialResult]:
    """A model's training as a function of rate and decay."""

    def train(lr: float, weight_decay: float) -> TrialResult:
        return trainer(
            TrialJob(
                model=model,
                recipe=replace(recipe, lr=lr, weight_decay=weight_decay).as_dict(),
                device=options.device,
                dataset=options.dataset,
                data_dir=None if options.data_dir is None else str(options.data_dir),
                plugins=[str(path) for path in options.plugin],
            )
        )

    return train
