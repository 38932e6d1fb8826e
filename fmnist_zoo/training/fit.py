"""The training loop: epochs within a budget, each followed by validation; losses stay on the device until its end."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fmnist_zoo.data.datasets import Dataset, Split, holdout
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import Validation, loss_and_top1
from fmnist_zoo.history import EpochStats, StepStats
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.training.budget import StepPlan, budget_flops
from fmnist_zoo.training.device import resolve_device, synchronizer, to_device
from fmnist_zoo.training.ledger import Ledger, StepWatch
from fmnist_zoo.training.schedule import lr_at
from fmnist_zoo.training.state import Checkpoints, TrainingState, fill, random_state, set_random_state, to_cpu
from fmnist_zoo.training.step import TrainingStep


class DivergedError(RuntimeError):
    """A loss or weight became infinite or NaN; `epoch` and `step` count from 1.

    Args:
        epoch: of detection.
        step: first affected step of that epoch.
        what: is not finite.
    """

    def __init__(self, epoch: int, step: int, what: str = "the loss is") -> None:
        super().__init__(f"{what} not finite from epoch {epoch}, step {step} on; a lower learning rate usually helps")
        self.epoch, self.step = epoch, step


@dataclass(kw_only=True, slots=True)
class FitResult:
    """Result of a training: history, number of steps, and actual precision and engine.

    `resumed_epochs` is the number of epochs trained by an earlier process; None if not resumed from a checkpoint.
    `step` and `loader` are for further measurements; using them changes the weights.
    """

    history: list[EpochStats] = field(default_factory=list)
    num_steps: int = 0
    scale: PixelScale
    precision: Precision
    engine: Engine
    fallback: str | None
    step: TrainingStep
    loader: TrainLoader
    resumed_epochs: int | None = None


def split_dataset(dataset: Dataset, num_val: int, device: torch.device) -> tuple[Split, Split | None]:
    """Training and validation images on a device; all 60,000 are for training if `num_val` is 0."""
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
    on_steps: Callable[[StepStats], None] = lambda stats: None,
    checkpoints: Checkpoints | None = None,
    image_flops: int | None = None,
) -> FitResult:
    """Train a model in place on a dataset's training split; it ends up on the device, with the weights to evaluate.

    Args:
        model: takes `(batch, 1, 28, 28)` floats, gives logits.
        dataset: from `load_dataset`; its test split is not used.
        recipe: how to train.
        num_val: images held out for validation after each epoch.
        seed: of data order, augmentation and dropout; initial weights are up to the caller.
        device: `auto`, `cpu`, `cuda`, `mps`.
        precision: number format of forward and backward passes.
        engine: `eager`, `compile`, or on CUDA `graph`.
        ledger: books seconds under `first_step`, `train` and `eval`.
        on_epoch: called after each epoch; when resuming, also for earlier epochs.
        on_steps: called when training begins after compilation, and at most once a second within an epoch.
        checkpoints: to save the state and resume after a kill, on a CPU to the same weights, bit for bit. The ledger
            is restored too: a budget in seconds continues with what was left. An unusable state causes a warning and
            a restart; a failed save causes a warning only.
        image_flops: training FLOPs per image; counted if the budget needs them and None.

    Raises:
        ValueError: recipe, model and device are incompatible.
        DivergedError: the loss or a weight became infinite or NaN, detected at the end of the epoch. Not for fp16
            gradient overflows: the scaler skips such steps.
    """
    target = resolve_device(device)
    ledger = ledger or Ledger(synchronize=synchronizer(target))
    train, val = split_dataset(dataset, num_val, target)
    scale = PixelScale.of(recipe.input_scaling, dataset)
    loader = TrainLoader(train, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=seed)
    with torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):
        torch.manual_seed(seed)
        with ledger.section("first_step"):
            image_flops = image_flops or budget_flops(recipe, model)
            step = TrainingStep(to_device(model, target), recipe, scale=scale, precision=precision, engine=engine)
            step.warm_up(loader.chunks(0, 2))
            validation = None if val is None else Validation(step, val)
        result = FitResult(
            scale=scale, precision=precision, engine=step.engine, fallback=step.fallback, step=step, loader=loader
        )
        state = _restored(step, checkpoints, ledger)
        planned = None if state is None else state.planned_steps
        plan = StepPlan(step, loader, ledger, image_flops=image_flops, num_steps=planned)
        if state is not None:
            result.num_steps, result.resumed_epochs = state.num_steps, len(state.history)
            for stats in state.history:
                result.history.append(stats)
                on_epoch(stats)
        if result.num_steps < plan.num_steps:
            on_steps(_so_far(loader, plan, result, ledger)(0, 0.0))
        while result.num_steps < plan.num_steps:
            stats = _one_epoch(step, loader, plan, result, ledger=ledger, validation=validation, on_steps=on_steps)
            result.num_steps = stats["num_steps"]
            result.history.append(stats)
            on_epoch(stats)
            _save(result, plan, ledger, checkpoints, asked=engine)
        step.finish()
    return result


def _restored(step: TrainingStep, checkpoints: Checkpoints | None, ledger: Ledger) -> TrainingState | None:
    """Restore a warmed-up step and the ledger from an earlier process; None without a saved state."""
    if checkpoints is None:
        return None
    if (state := checkpoints.state) is not None:
        generators = random_state(step.device)
        try:
            with ledger.section("first_step"):
                fill({**step.tensors(), **generators}, state.tensors)
                set_random_state(step.device, generators)
                step.scaler.load_state_dict(dict(state.scaler))
        except ValueError as error:
            checkpoints.refuse(str(error))
        else:
            ledger.carry(state.seconds)
    if checkpoints.problem is not None:
        warnings.warn(checkpoints.problem, stacklevel=3)
    return checkpoints.state


def _one_epoch(
    step: TrainingStep,
    loader: TrainLoader,
    plan: StepPlan,
    result: FitResult,
    *,
    ledger: Ledger,
    validation: Validation | None,
    on_steps: Callable[[StepStats], None],
) -> EpochStats:
    """Train, check the losses, validate, and correct the plan."""
    epoch, done, scheduled = len(result.history), result.num_steps, plan.num_steps
    so_far = _so_far(loader, plan, result, ledger)
    with ledger.section("train"):
        watch = StepWatch(step.device, lambda steps, seconds: on_steps(so_far(steps, seconds)))
        logits, labels, lr = train_epoch(step, loader, epoch, done=done, total=scheduled, watch=watch)
        watch.finish()
    num_steps = len(logits) // loader.batch_size
    done += num_steps
    with ledger.section("eval"):
        train_loss, train_top1_pct = _checked(logits, labels, epoch, loader.batch_size)
        _check_weights(step.parameters, epoch, num_steps)
        val_loss, val_top1_pct = (None, None) if validation is None else validation()
        if val_loss is not None and not math.isfinite(val_loss):
            raise DivergedError(epoch + 1, num_steps, "the validation loss is")
    elapsed_s = ledger.seconds["train"]
    plan.correct(done, elapsed_s)
    return EpochStats(
        epoch=epoch + 1,
        train_loss=train_loss,
        train_top1_pct=train_top1_pct,
        val_loss=val_loss,
        val_top1_pct=val_top1_pct,
        lr=lr,
        elapsed_s=elapsed_s,
        num_steps=done,
        scheduled_steps=scheduled,
    )


def _so_far(
    loader: TrainLoader, plan: StepPlan, result: FitResult, ledger: Ledger
) -> Callable[[int, float], StepStats]:
    """Progress as a function of steps and seconds of the epoch that begins now."""
    done, before_s = result.num_steps, ledger.seconds.get("train", 0.0)
    return lambda steps, seconds: StepStats(
        epochs_done=len(result.history),
        step=steps,
        epoch_steps=min(loader.steps_per_epoch, plan.num_steps - done),
        num_steps=done + steps,
        scheduled_steps=plan.num_steps,
        elapsed_s=before_s + seconds,
    )


def _save(result: FitResult, plan: StepPlan, ledger: Ledger, checkpoints: Checkpoints | None, *, asked: Engine) -> None:
    """Save the state after an epoch if due; also after the last, since evaluation and measurements follow."""
    is_last = result.num_steps >= plan.num_steps
    if checkpoints is None or not checkpoints.is_due(len(result.history), is_last=is_last):
        return
    with ledger.section("write"):
        state = TrainingState(
            precision=result.precision,
            engine=asked,
            history=tuple(result.history),
            num_steps=result.num_steps,
            planned_steps=plan.num_steps,
            seconds=dict(ledger.seconds),
            scaler=result.step.scaler.state_dict(),
            about=checkpoints.about,
            tensors=to_cpu({**result.step.tensors(), **random_state(result.step.device)}),
        )
        try:
            checkpoints.save(state)
        except OSError as error:  # a failed save must not end a training
            warnings.warn(f"Checkpoint not saved: {error}", stacklevel=3)


def train_epoch(
    step: TrainingStep, loader: TrainLoader, epoch: int, *, done: int, total: int, watch: StepWatch | None = None
) -> tuple[Float[Tensor, "images classes"], Int64[Tensor, " images"], float]:
    """Train for one epoch, or the rest of the budget, without waiting for the device.

    Args:
        step: the training step.
        loader: of its batches.
        epoch: counted from 0.
        done: steps before this epoch.
        total: steps of the whole training; the schedule runs on `done / total`.
        watch: notified of each step.

    Returns:
        Logits and labels of all images in their order, and the last learning rate.
    """
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    lrs, watch = [0.0], watch or StepWatch(step.device, lambda steps, seconds: None)
    before = done
    for images, labels in loader.chunks(epoch, total - done):
        steps = len(labels) // loader.batch_size
        lrs = [lr_at(step.recipe, index / total) for index in range(done, done + steps)]
        outputs.append(step.chunk(images, labels, lrs, watch.step))
        targets.append(labels)
        done += steps
        watch.reached(done - before)
    return torch.cat(outputs), torch.cat(targets), lrs[-1]


def _checked(logits: Tensor, labels: Tensor, epoch: int, batch_size: int) -> tuple[float, float]:
    """Training loss and top-1 of an epoch; the only place where the host waits for results."""
    train_loss, train_top1_pct = loss_and_top1(logits, labels).tolist()
    if not math.isfinite(train_loss):
        bad_rows = (~torch.isfinite(logits)).any(1).nonzero()
        raise DivergedError(
            epoch + 1, int(bad_rows[0]) // batch_size + 1 if len(bad_rows) else len(logits) // batch_size
        )
    return train_loss, train_top1_pct


def _check_weights(weights: Sequence[Tensor], epoch: int, num_steps: int) -> None:
    """Raise DivergedError if the last step of an epoch, with a finite loss, made a weight non-finite."""
    finite = torch.stack([weight.detach().isfinite().all() for weight in weights])
    if not bool(finite.all()):
        raise DivergedError(epoch + 1, num_steps, "a weight is")
