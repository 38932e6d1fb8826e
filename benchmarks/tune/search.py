"""Search for one model: Optuna proposes, a trial trains, and each is saved at once, to continue later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from benchmarks.records.tuning import Trial, TrialResult
from benchmarks.tune.config import LR_RANGE, WEIGHT_DECAY_RANGE
from fmnist_zoo.recipe import Optimizer

NUM_RANDOM = 4
"""Trials before the sampler learns from those before; the first is the recipe's own."""

Train = Callable[[float, float], TrialResult]


def search(
    journal: Path,
    model: str,
    *,
    train: Train,
    num_trials: int,
    optimizer: Optimizer,
    first: tuple[float, float],
    setting: Mapping[str, Any],
    seed: int = 0,
    on_trial: Callable[[list[Trial]], None] = lambda trials: None,
) -> list[Trial]:
    """Try learning rates and weight decays until there are `num_trials`, including those of earlier calls.

    The sampler is a tree-structured Parzen estimator (J. Bergstra et al., 2011, Algorithms for hyper-parameter
    optimization, NeurIPS 24). Its seed is that of the search plus the number of trials done, so that a search which
    was stopped continues as if it had not been. An aborted trial is repeated.

    Args:
        journal: file that keeps the trials of all models.
        model: to tune.
        train: trains with a learning rate and a weight decay.
        num_trials: in all.
        optimizer: by which the range of the rate is chosen.
        first: rate and decay of the first trial.
        setting: everything else the trials have in common.
        seed: of the search.
        on_trial: called after each trial with all finished ones.

    Raises:
        ValueError: the journal's trials of this model were made with another setting or seed.
    """
    study = optuna.create_study(study_name=model, storage=_storage(journal), direction="maximize", load_if_exists=True)
    identity = {"setting": dict(setting), "seed": seed}
    if study.user_attrs.get("identity", identity) != identity:
        raise ValueError(f"{journal} has trials of {model} with another recipe or seed; move it away to start over")
    study.set_user_attr("identity", identity)
    while len(done := finished(study)) < num_trials:
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(done), n_startup_trials=NUM_RANDOM)
        if not done:
            study.enqueue_trial({"lr": first[0], "weight_decay": first[1]})
        trial = study.ask()
        # Few digits: train with exactly what goes into the registry.
        lr = rounded(trial.suggest_float("lr", *LR_RANGE[optimizer], log=True))
        weight_decay = rounded(trial.suggest_float("weight_decay", *WEIGHT_DECAY_RANGE, log=True))
        result = train(lr, weight_decay)
        trial.set_user_attr("trial", {"lr": lr, "weight_decay": weight_decay, "result": result})
        if result["val_top1_pct"] is None:  # diverged or out of memory: a valid trial, and the worst
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, result["val_top1_pct"])
        on_trial(finished(study))
    return done


def earlier(journal: Path, *, setting: Mapping[str, Any], seed: int) -> dict[str, list[Trial]]:
    """The trials that a journal has with this setting and seed, by model; none where there is no journal."""
    if not journal.exists():
        return {}
    storage = _storage(journal)
    studies = (optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage))
    identity = {"setting": dict(setting), "seed": seed}
    return {study.study_name: finished(study) for study in studies if study.user_attrs.get("identity") == identity}


def _storage(journal: Path) -> JournalStorage:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return JournalStorage(JournalFileBackend(str(journal)))


def finished(study: optuna.Study) -> list[Trial]:
    """The trials of a study that are done, in their order."""
    done: list[FrozenTrial] = study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [trial.user_attrs["trial"] for trial in done]


def rounded(value: float) -> float:
    """Two significant digits."""
    return float(f"{value:.2g}")
