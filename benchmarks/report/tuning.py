"""Tuning of the equal track's learning rates and weight decays: choices, all trials, and cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from benchmarks.records.tuning import Search, Trial, TrialResult, best
from benchmarks.report.text import MISSING, escape, number, protocol, table

CAPTION = (
    "Same number of trials and same ranges for every model; one seed, trained on 55,000 images and validated on the "
    "other 5,000. Differences below about 0.5 points are noise; test images were not used. "
    f"{protocol('measuring.md#tuning-of-the-equal-track')}"
)
SCORES: dict[Literal["val_top1_pct", "val_loss", "train_top1_pct", "train_s"], tuple[str, int]] = {
    "val_top1_pct": ("validation top-1, %", 2),
    "val_loss": ("validation loss", 4),
    "train_top1_pct": ("training top-1, %", 2),
    "train_s": ("training, s", 1),
}
"""Columns of the trials table: heading and decimals."""


def tuning_text(outcomes: Sequence[Search], trials_page: str) -> list[str]:
    """A table of chosen values for each search, with a link to all trials; empty without a search."""
    if not outcomes:
        return []
    blocks = ["## Learning rate and weight decay of the equal track", f"{CAPTION} [All trials]({trials_page})."]
    for outcome in outcomes:
        blocks += [_about(outcome), _chosen_table(outcome)]
    return blocks


def trials_text(outcomes: Sequence[Search]) -> list[str]:
    """Tables of all trials, one for each search."""
    return [block for outcome in outcomes for block in (_about(outcome), _trials_table(outcome))]


def _about(outcome: Search) -> str:
    recipe, software = outcome["recipe"], outcome["environment"]["software"]
    return (
        f"{escape(outcome['dataset'])}, preset {escape(outcome['preset'])}: {escape(str(recipe.get('optimizer')))}, "
        f"{escape(str(recipe.get('budget')))}, {outcome['trials_per_model']} trials per model (torch "
        f"{escape(software['torch'])}); {number(outcome['train_s'])} s of training, {number(outcome['wall_s'])} s of "
        "wall time:"
    )


def _chosen_table(outcome: Search) -> str:
    rows = []
    for model, search in outcome["models"].items():
        chosen = best(search["trials"])
        values = [f"{chosen['lr']:g}", f"{chosen['weight_decay']:g}"] if chosen else [MISSING, MISSING]
        score = number(chosen["result"]["val_top1_pct"] if chosen else None, 2)
        rows.append([escape(model), *values, score, _range(search["trials"]), number(search["train_s"])])
    headers = ["model", "learning rate", "weight decay", "validation top-1, %", "range over trials, %", "training, s"]
    return table(headers, rows)


def _range(trials: Sequence[Trial]) -> str:
    """Lowest and highest score, and the number of failed trials."""
    scores = [score for trial in trials if (score := trial["result"]["val_top1_pct"]) is not None]
    failed = len(trials) - len(scores)
    words = [f"{min(scores):.2f} to {max(scores):.2f}"] if scores else []
    return ", ".join([*words, *([f"{failed} failed"] if failed else [])])


def _trials_table(outcome: Search) -> str:
    rows = [
        [escape(model), str(place), f"{trial['lr']:g}", f"{trial['weight_decay']:g}", *_result_cells(trial["result"])]
        for model, search in outcome["models"].items()
        for place, trial in enumerate(search["trials"], start=1)
    ]
    headers = [
        "model",
        "trial",
        "learning rate",
        "weight decay",
        *(name for name, _ in SCORES.values()),
        "precision",
        "engine",
        "status",
    ]
    return table(headers, rows, words=("precision", "engine", "status"))


def _result_cells(result: TrialResult) -> list[str]:
    numbers = [number(result[name], decimals) for name, (_, decimals) in SCORES.items()]
    return [*numbers, *(escape(result[name] or MISSING) for name in ("precision", "engine", "status"))]
