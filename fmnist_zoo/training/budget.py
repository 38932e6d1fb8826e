"""Steps within a budget: known from the start for epochs and FLOPs, measured for seconds."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

from fmnist_zoo.data.loader import TrainLoader
from fmnist_zoo.flops import count_flops
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.training.ledger import Ledger
from fmnist_zoo.training.step import TrainingStep


class StepPlan:
    """Planned number of steps within a budget.

    Args:
        step: the training step; under a budget in seconds it is timed, without lasting effect.
        loader: of its batches.
        ledger: books the timing under `first_step`.
        image_flops: from `budget_flops`.
        num_steps: planned by an earlier process; None to plan now.
    """

    def __init__(
        self,
        step: TrainingStep,
        loader: TrainLoader,
        ledger: Ledger,
        *,
        image_flops: int | None,
        num_steps: int | None = None,
    ) -> None:
        self._budget = step.recipe.budget
        self.num_steps = num_steps or budget_steps(
            step.recipe, loader, image_flops, lambda: seconds_per_step(step, loader, ledger)
        )

    def correct(self, done: int, elapsed_s: float) -> None:
        """Under a budget in seconds, replan for the time left at the mean speed so far.

        Not once all planned steps are done, since the learning rate is then annealed.
        """
        if self._budget.kind == "seconds" and done < self.num_steps:
            left_s = max(0.0, self._budget.amount - elapsed_s)
            self.num_steps = done + round(left_s / elapsed_s * done)


def budget_flops(recipe: Recipe, model: nn.Module) -> int | None:
    """Training FLOPs per image for a budget in FLOPs, else None; call before compiling anything."""
    return count_flops(model).training_flops if recipe.budget.kind == "flops" else None


def budget_steps(
    recipe: Recipe, loader: TrainLoader, image_flops: int | None, seconds_per_step: Callable[[], float]
) -> int:
    """Steps within a recipe's budget, at least 1; a step is timed only if needed."""
    match recipe.budget.kind:
        case "epochs":
            steps = recipe.budget.amount * loader.steps_per_epoch
        case "flops":
            assert image_flops is not None, "a budget in FLOPs needs those of an image"
            steps = recipe.budget.amount / (image_flops * recipe.batch_size)
        case "seconds":
            steps = recipe.budget.amount / seconds_per_step()
    return max(1, math.floor(steps))


def seconds_per_step(step: TrainingStep, loader: TrainLoader, ledger: Ledger) -> float:
    """Time of a steady-state step with its share of batch preparation, measured without lasting effect.

    The difference between many and few steps cancels one-time costs such as drawing an epoch's order.
    """

    def seconds(num_steps: int) -> float:
        before = ledger.seconds.get("first_step", 0.0)
        with ledger.section("first_step"):
            step.warm_up(loader.chunks(0, num_steps))
        return ledger.seconds["first_step"] - before

    few = min(4, loader.steps_per_epoch)
    base_s, more = seconds(few), few
    while more < loader.steps_per_epoch:
        more = min(4 * more, loader.steps_per_epoch)
        extra_s = seconds(more) - base_s
        if extra_s > _LONG_ENOUGH_S or (more == loader.steps_per_epoch and extra_s > 0):
            return extra_s / (more - few)
    return base_s / few


_LONG_ENOUGH_S = 0.3
