"""The recipe that each track gives a model."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.config import Measures, Track
from fmnist_zoo.recipe import Augmentation, Budget, Recipe
from fmnist_zoo.registry import ModelSpec

EQUAL = Recipe()
"""The one recipe of the equal track. A preset sets its budget and augmentation, for all models alike; learning rate and
weight decay are tuned for each model (ModelSpec.tuned)."""


def recipe_for(spec: ModelSpec, track: Track, preset: Measures) -> tuple[Recipe, str | None]:
    """A model's recipe on a track, and a sentence for the record where it isn't what the track's name promises.

    Args:
        spec: the model.
        track: `equal`, `best` or `published`.
        preset: its budget holds on the first two tracks, its augmentation on the first; a published recipe has its own.
    """
    budget = Budget("epochs", preset.epochs)
    equal = replace(
        EQUAL,
        budget=budget,
        augmentation=Augmentation.parse(preset.augmentation),
        lr=spec.tuned.get("lr", EQUAL.lr),
        weight_decay=spec.tuned.get("weight_decay", EQUAL.weight_decay),
    )
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
