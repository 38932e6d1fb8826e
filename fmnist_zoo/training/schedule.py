"""Learning-rate schedules over the used fraction of the budget, so that every kind of budget anneals fully."""

from __future__ import annotations

import math

from fmnist_zoo.recipe import Recipe


def lr_at(recipe: Recipe, fraction: float) -> float:
    """Learning rate after `fraction` (0 to 1) of the budget. Shapes: see Recipe.schedule."""
    warmup = recipe.lr_warmup_fraction
    if fraction < warmup:
        rise = fraction / warmup
        if recipe.schedule == "one_cycle":
            return recipe.lr * (_ONE_CYCLE_START + (1 - _ONE_CYCLE_START) * (1 - math.cos(math.pi * rise)) / 2)
        return recipe.lr * rise
    if recipe.schedule == "constant":
        return recipe.lr
    progress = min(1.0, (fraction - warmup) / (1 - warmup))
    return recipe.lr * (1 + math.cos(math.pi * progress)) / 2


_ONE_CYCLE_START = 1 / 25
