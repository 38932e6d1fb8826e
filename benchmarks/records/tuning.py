"""Results of a tuning search: its file with every trial, and lines for the registry. No Optuna, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

from benchmarks.records.json_files import Problem, read_json
from benchmarks.records.record import plain
from benchmarks.records.schema import Details, Hardware, Int64, Software
from fmnist_zoo.files import write_atomically

FOLDER = "tuning"
"""In a machine's folder: a JSON file per preset, optimizer and budget, with Optuna's journal."""
SCHEMA_VERSION = 1


class TrialResult(TypedDict):
    """Result of a trial; scores are of the last epoch, None if missing."""

    status: str
    error: str | None
    val_top1_pct: float | None
    val_loss: float | None
    train_top1_pct: float | None
    train_s: float | None
    wall_s: float
    precision: str | None
    engine: str | None


class Trial(TypedDict):
    """Finished trial: its values and result."""

    lr: float
    weight_decay: float
    result: TrialResult


class Chosen(TypedDict):
    """Values of a model's best trial."""

    lr: float
    weight_decay: float


class ModelSearch(TypedDict):
    """Trials of one model in order, the values of the best, and the total seconds."""

    chosen: Chosen | None
    train_s: float
    wall_s: float
    trials: list[Trial]


class Where(TypedDict):
    """Machine and versions; earlier searches lack the details."""

    hardware: Hardware
    software: Software
    details: NotRequired[Details | None]


class About(TypedDict):
    """Common to the trials of all models; `recipe` is without learning rate and weight decay."""

    schema_version: Literal[1]
    command: str
    environment: Where
    seed: Int64
    trials_per_model: Int64
    dataset: str
    preset: str
    recipe: dict[str, Any]


class Search(About):
    """A complete search and its seconds."""

    train_s: float
    wall_s: float
    models: dict[str, ModelSearch]


def write_search(path: Path, about: About, found: Mapping[str, Sequence[Trial]]) -> None:
    """Write all trials, chosen values and costs as JSON, replacing an older file."""
    everything = [trial for trials in found.values() for trial in trials]
    content = {
        **about,
        "train_s": _cost_s(everything, "train_s"),
        "wall_s": _cost_s(everything, "wall_s"),
        "models": {model: _model(trials) for model, trials in found.items()},
    }
    text = json.dumps(plain(content, keep_non_finite=True), indent=1, sort_keys=True, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def read_searches(machine_dir: Path) -> tuple[list[Search], list[Problem]]:
    """Searches of a machine by file name, and unreadable files with the reason."""
    outcomes: list[Search] = []
    problems: list[Problem] = []
    for path in sorted((machine_dir / FOLDER).glob("*.json")):
        try:
            outcomes.append(read_json(path, Search))
        except (OSError, ValueError, RecursionError) as error:
            problems.append(Problem(f"{FOLDER}/{path.name}", str(error) or type(error).__name__))
    return outcomes, problems


def _model(trials: Sequence[Trial]) -> ModelSearch:
    chosen = best(trials)
    return {
        "chosen": {"lr": chosen["lr"], "weight_decay": chosen["weight_decay"]} if chosen else None,
        "train_s": _cost_s(trials, "train_s"),
        "wall_s": _cost_s(trials, "wall_s"),
        "trials": list(trials),
    }


def _cost_s(trials: Sequence[Trial], name: Literal["train_s", "wall_s"]) -> float:
    """Seconds of all trials; those of trials that failed before training are unknown, counted as 0."""
    values = (trial["result"][name] for trial in trials)
    return sum(value for value in values if value is not None)


def best(trials: Sequence[Trial]) -> Trial | None:
    """Trial with the highest validation top-1, ties broken by lowest loss; None if all failed."""
    scored = [trial for trial in trials if trial["result"]["val_top1_pct"] is not None]
    return max(scored, key=_score) if scored else None


def _score(trial: Trial) -> tuple[float, float]:
    result = trial["result"]
    loss = result["val_loss"]
    return result["val_top1_pct"] or 0.0, -(loss if loss is not None else float("inf"))


def trial_line(model: str, trials: Sequence[Trial]) -> str:
    """Last trial as one line."""
    last = trials[-1]
    top1 = last["result"]["val_top1_pct"]
    score = last["result"]["status"] if top1 is None else f"{top1:.2f}% validation top-1"
    return f"{model} {len(trials)}: lr {last['lr']:g}, weight decay {last['weight_decay']:g}: {score}"


def summary(found: Mapping[str, Sequence[Trial]], optimizer: str, path: Path) -> str:
    """Chosen values, as the `register_model` argument for the equal track."""
    lines = [f"Every trial is in {path}. For the registry (fmnist_zoo/models/):"]
    for model, trials in found.items():
        chosen = best(trials)
        if chosen is None:
            lines.append(f"{model}: no trial ended well")
        else:
            values = f'{{"lr": {chosen["lr"]:g}, "weight_decay": {chosen["weight_decay"]:g}}}'
            score = f"{chosen['result']['val_top1_pct']:.2f}%, the best of {len(trials)} trials"
            lines.append(f'{model}: tuned={{"{optimizer}": {values}}}  # {score}')
    return "\n".join(lines)
