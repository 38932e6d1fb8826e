"""The recipe that each track gives a model."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.config import Track
from fmnist_zoo.recipe import Budget, Recipe
from fmnist_zoo.registry import ModelSpec

EQUAL = Recipe()
"""The one recipe of the equal track; only learning rate and weight decay are tuned for each model (ModelSpec.tuned)."""


def recipe_for(spec: ModelSpec, track: Track, budget: Budget) -> tuple[Recipe, str | None]:
    """A model's recipe on a track, and a sentence for the record where it isn't what the track's name promises.

    Args:
        spec: the model.
        track: `equal`, `best` or `published`.
        budget: of the preset; a published recipe brings its own.
    """
    tuned = {"lr": EQUAL.lr, "weight_decay": EQUAL.weight_decay, **spec.tuned}
    equal = replace(EQUAL, budget=budget, lr=tuned["lr"], weight_decay=tuned["weight_decay"])
    match track:
        case "equal":
            untuned = "learning rate and weight decay are not tuned for this model"
            return equal, None if spec.tuned else untuned
        case "best":
            own = spec.recipe
            return (replace(own, budget=budget), None) if own else (equal, "no recipe of its own: the equal track's")
        case "published":
            return (spec.published, None) if spec.published else (equal, "no published recipe: the equal track's")


def num_val(track: Track) -> int:
    """Images held out for validation: 5,000 on the equal track, none where all 60,000 train."""
    return 5000 if track == "equal" else 0
