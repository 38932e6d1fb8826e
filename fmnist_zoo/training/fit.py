"""The training loop: epochs within a budget, losses that stay on the device until an epoch ends, then validation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fmnist_zoo.data.datasets import Dataset, Split, holdout
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import Predictor, loss_and_top1
from fmnist_zoo.flops import count_flops
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.training.device import resolve_device, synchronizer
from fmnist_zoo.training.ledger import Ledger
from fmnist_zoo.training.schedule import lr_at
from fmnist_zoo.training.step import TrainingStep


class DivergedError(RuntimeError):
    """Training produced a loss that is not finite; `epoch` and `step` count from 1."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(
            f"the loss is not finite from epoch {epoch}, step {step} on; a lower learning rate usually helps"
        )
        self.epoch, self.step = epoch, step


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochStats:
    """What one epoch gave.

    Losses are cross-entropies in nats, without label smoothing. Those of training are taken in training mode, before
    each update, averaged over the epoch; `val_*` is None without validation images. `elapsed_s` is training time so
    far, without warm-up and evaluation. `scheduled_steps` is how many steps the whole training was planned to take
    during this epoch: it changes only under a budget in seconds, where a rerun needs it to follow the same schedule.
    """

    epoch: int
    train_loss: float
    train_top1_pct: float
    val_loss: float | None
    val_top1_pct: float | None
    lr: float
    elapsed_s: float
    num_steps: int
    scheduled_steps: int


@dataclass(kw_only=True, slots=True)
class FitResult:
    """What a training did: its history, the number of steps, and what it really ran with.

    `step` and `loader` are those that trained, for whoever wants to measure them further; using them moves the weights.
    """

    history: list[EpochStats] = field(default_factory=list)
    num_steps: int = 0
    scale: PixelScale
    precision: Precision
    engine: Engine
    fallback: str | None
    step: TrainingStep
    loader: TrainLoader


def split_dataset(dataset: Dataset, num_val: int, device: torch.device) -> tuple[Split, Split | None]:
    """Training and validation images on a device; all 60,000 train where `num_val` is 0."""
    if not num_val:
        return dataset.train.to(device), None
    train, val = holdout(dataset.train, num_val=num_val)
    return train.to(device), val.to(device)


def fit(
    model: nn.Module,
    dataset: Dataset,
    *,
    recipe: Recipe,
    num_val: int = 0,
    seed: int = 0,
    device: str = "auto",
    precision: Precision = "fp32",
    engine: Engine = "eager",
    ledger: Ledger | None = None,
    on_epoch: Callable[[EpochStats], None] = lambda stats: None,
) -> FitResult:
    """Train a model in place on a dataset's training split; it ends on the device, with the weights to be evaluated.

    Args:
        model: takes `(batch, 1, 28, 28)` floats, gives logits.
        dataset: from `load_dataset`; its test split isn't touched.
        recipe: what to do.
        num_val: images held out of training and evaluated after each epoch.
        seed: of data order, augmentation and dropout; initial weights are the caller's.
        device: `auto`, `cpu`, `cuda`, `mps`.
        precision: number format of forward and backward passes.
        engine: `eager`, `compile`, or on CUDA `graph`.
        ledger: where seconds are booked, under `first_step`, `train` and `eval`.
        on_epoch: called after each epoch.

    Raises:
        ValueError: recipe, model and device don't fit together.
        DivergedError: the loss became infinite or NaN; found at the end of that epoch.
    """
    target = resolve_device(device)
    ledger = ledger or Ledger(synchronize=synchronizer(target))
    train, val = split_dataset(dataset, num_val, target)
    scale = PixelScale.of(recipe.input_scaling, dataset)
    loader = TrainLoader(train, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=seed)
    with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):
        torch.manual_seed(seed)
        with ledger.section("first_step"):
            image_flops = budget_flops(recipe, model)
            step = TrainingStep(place(model, target), recipe, scale=scale, precision=precision, engine=engine)
            step.warm_up(loader.chunks(0, 2))
            validation = None if val is None else Validation(step, val)
        plan = StepPlan(step, loader, ledger, image_flops=image_flops)
        result = FitResult(
            scale=scale, precision=precision, engine=step.engine, fallback=step.fallback, step=step, loader=loader
        )
        while result.num_steps < plan.num_steps:
            epoch = len(result.history)
            scheduled = plan.num_steps
            with ledger.section("train"):
                logits, labels, lr = train_epoch(step, loader, epoch, done=result.num_steps, total=plan.num_steps)
            result.num_steps += len(logits) // recipe.batch_size
            with ledger.section("eval"):
                train_loss, train_top1_pct = _checked(logits, labels, epoch, recipe.batch_size)
                val_loss, val_top1_pct = (None, None) if validation is None else validation()
            elapsed_s = ledger.seconds["train"]
            plan.correct(result.num_steps, elapsed_s)
            result.history.append(
                EpochStats(
                    epoch=epoch + 1,
                    train_loss=train_loss,
                    train_top1_pct=train_top1_pct,
                    val_loss=val_loss,
                    val_top1_pct=val_top1_pct,
                    lr=lr,
                    elapsed_s=elapsed_s,
                    num_steps=result.num_steps,
                    scheduled_steps=scheduled,
                )
            )
            on_epoch(result.history[-1])
        step.finish()
    return result


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to a device; convolutional ones in channels-last order, which their kernels prefer."""
    model = model.to(device)
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


class StepPlan:
    """How many steps a budget allows: known from the start for epochs and FLOPs, measured for seconds.

    Args:
        step: what will train; under a budget in seconds it is timed on steps that leave no trace.
        loader: of its batches.
        ledger: where that timing is booked, under `first_step`.
        image_flops: what `budget_flops` counted.
    """

    def __init__(self, step: TrainingStep, loader: TrainLoader, ledger: Ledger, *, image_flops: int | None) -> None:
        self._budget = step.recipe.budget
        self.num_steps = budget_steps(step.recipe, loader, image_flops, lambda: seconds_per_step(step, loader, ledger))

    def correct(self, done: int, elapsed_s: float) -> None:
        """Under a budget in seconds: plan the steps that the time left allows at the mean speed so far.

        Once all planned steps are done the learning rate has been annealed, and a little time left changes nothing.
        """
        if self._budget.kind == "seconds" and done < self.num_steps:
            left_s = max(0.0, self._budget.amount - elapsed_s)
            self.num_steps = done + round(left_s / elapsed_s * done)


def budget_flops(recipe: Recipe, model: nn.Module) -> int | None:
    """FLOPs of training with one image, where the budget is one of FLOPs; to be asked before anything is compiled."""
    return count_flops(model).training_flops if recipe.budget.kind == "flops" else None


def budget_steps(
    recipe: Recipe, loader: TrainLoader, image_flops: int | None, seconds_per_step: Callable[[], float]
) -> int:
    """Steps that a recipe's budget allows, at least 1; the time of a step is asked for only where it matters."""
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
    """Time of a steady-state step with its share of batch preparation, from steps that leave no trace.

    The difference between more steps and few: what is paid once, such as drawing an epoch's order, falls out.
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


def train_epoch(
    step: TrainingStep, loader: TrainLoader, epoch: int, *, done: int, total: int
) -> tuple[Float[Tensor, "images classes"], Int64[Tensor, " images"], float]:
    """One epoch, or what is left of the budget, without waiting for the device.

    Args:
        step: what trains.
        loader: of its batches.
        epoch: which, from 0.
        done: steps before this epoch.
        total: steps of the whole training; the schedule runs on `done / total`.

    Returns:
        Logits and labels of all images in their order, and the last learning rate.
    """
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    lrs = [0.0]
    for images, labels in loader.chunks(epoch, total - done):
        steps = len(labels) // loader.batch_size
        lrs = [lr_at(step.recipe, index / total) for index in range(done, done + steps)]
        outputs.append(step.chunk(images, labels, lrs))
        targets.append(labels)
        done += steps
    return torch.cat(outputs), torch.cat(targets), lrs[-1]


def _checked(logits: Tensor, labels: Tensor, epoch: int, batch_size: int) -> tuple[float, float]:
    """Training loss and top-1 of an epoch; the one place where the host waits for its results."""
    train_loss, train_top1_pct = loss_and_top1(logits, labels).tolist()
    if not math.isfinite(train_loss):
        bad_rows = (~torch.isfinite(logits)).any(1).nonzero()
        raise DivergedError(
            epoch + 1, int(bad_rows[0]) // batch_size + 1 if len(bad_rows) else len(logits) // batch_size
        )
    return train_loss, train_top1_pct


class Validation:
    """Loss and top-1 on held-out images, again after each epoch, with the weights that would be evaluated then.

    Args:
        step: what trains.
        val: images and labels on its device.
    """

    def __init__(self, step: TrainingStep, val: Split) -> None:
        self._step, self._val = step, val
        self._model = step.evaluation_model()
        # Eager unless captured: compiling the forward pass alone for a few thousand images doesn't pay.
        engine: Engine = "graph" if step.engine == "graph" else "eager"
        self._predictor = Predictor(self._model, scale=step.scale, precision=step.precision, engine=engine)
        self._step.module.train()

    def __call__(self) -> tuple[float, float]:
        """Mean cross-entropy (nats) and top-1 (percent)."""
        self._step.write_to(self._model)
        self._predictor.refresh()
        logits = self._predictor.logits(self._val.images)
        self._step.module.train()
        val_loss, val_top1_pct = loss_and_top1(logits, self._val.labels).tolist()
        return val_loss, val_top1_pct
