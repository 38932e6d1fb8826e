"""What a search found: the file with every trial, and the lines for the registry."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tune.search import Trial, best
from fmnist_zoo.files import write_atomically


def write_outcome(path: Path, about: Mapping[str, Any], found: Mapping[str, Sequence[Trial]]) -> None:
    """Write every trial, what was chosen and what it cost, as JSON in place of what was there.

    Args:
        path: the file.
        about: command, environment, recipe and effort, the same for all models.
        found: the trials of each model.
    """
    models = {model: _model(trials) for model, trials in found.items()}
    everything = [trial for trials in found.values() for trial in trials]
    cost = {name: _cost_s(everything, name) for name in ("train_s", "wall_s")}
    text = json.dumps({**about, **cost, "models": models}, indent=1, sort_keys=True, allow_nan=False)
    write_atomically(path, f"{text}\n".encode())


def _model(trials: Sequence[Trial]) -> dict[str, Any]:
    chosen = best(trials)
    return {
        "chosen": {"lr": chosen["lr"], "weight_decay": chosen["weight_decay"]} if chosen else None,
        "train_s": _cost_s(trials, "train_s"),
        "wall_s": _cost_s(trials, "wall_s"),
        "trials": trials,
    }


def _cost_s(trials: Sequence[Trial], name: str) -> float:
    """Seconds of all trials; those of one that failed before it trained are not known, and count as none."""
    values = (trial["result"]["train_s"] if name == "train_s" else trial["result"]["wall_s"] for trial in trials)
    return sum(value for value in values if value is not None)


def trial_line(model: str, trials: Sequence[Trial]) -> str:
    """The last trial in a line."""
    last = trials[-1]
    top1 = last["result"]["val_top1_pct"]
    score = last["result"]["status"] if top1 is None else f"{top1:.2f}% validation top-1"
    return f"{model} {len(trials)}: lr {last['lr']:g}, weight decay {last['weight_decay']:g}: {score}"


def summary(found: Mapping[str, Sequence[Trial]], optimizer: str, path: Path) -> str:
    """What was chosen, as the argument of `register_model` that the equal track reads."""
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
