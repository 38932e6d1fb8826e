"""The recipe that each track gives a model."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.sweep.config import Measures, Track
from fmnist_zoo.recipe import Augmentation, Budget, Optimizer, Recipe
from fmnist_zoo.spec import ModelSpec

EQUAL = Recipe()
"""The one recipe of the equal track. A preset sets its budget, augmentation and optimizer, for all models alike;
learning rate and weight decay are tuned for each model (ModelSpec.tuned)."""
UNTUNED_LR: dict[Optimizer, float] = {"muon": 1e-2, "sgd": 5e-2}
"""Where a model isn't tuned for an optimizer: a usual rate, if it isn't the recipe's own."""


def recipe_for(
    spec: ModelSpec, track: Track, preset: Measures, optimizer: Optimizer | None = None
) -> tuple[Recipe, str | None]:
    """A model's recipe on a track, and a sentence for the record where it isn't what the track's name promises.

    Args:
        spec: the model.
        track: `equal`, `best` or `published`.
        preset: its budget holds on the first two tracks, the rest of it on the first; a published recipe has its own.
        optimizer: of the equal track, in place of the preset's.
    """
    budget = Budget("epochs", preset.epochs)
    optimizer = optimizer or preset.optimizer
    tuned = spec.tuned.get(optimizer, {})
    equal = replace(
        EQUAL,
        budget=budget,
        augmentation=Augmentation.parse(preset.augmentation),
        optimizer=optimizer,
        lr=tuned.get("lr", UNTUNED_LR.get(optimizer, EQUAL.lr)),
        weight_decay=tuned.get("weight_decay", EQUAL.weight_decay),
    )
    match track:
        case "equal":
            untuned = f"learning rate and weight decay are not tuned for this model with {optimizer}"
            return equal, None if tuned else untuned
        case "best":
            own = spec.recipe
            return (replace(own, budget=budget), None) if own else (equal, "no recipe of its own: the equal track's")
        case "published":
            return (spec.published, None) if spec.published else (equal, "no published recipe: the equal track's")


def num_val(track: Track) -> int:
    """Images held out for validation: 5,000 on the equal track, none where all 60,000 train."""
    return 5000 if track == "equal" else 0
