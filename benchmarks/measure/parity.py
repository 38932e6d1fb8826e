"""Parity of an arm: logits and gradients against an fp64 reference with the same weights and batch.

Gradients are read from the optimizer's first moment after its first step, which holds them times a known factor. So the
actual training step is checked, even if compiled or captured as a unit without access to gradients.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.records.arms import Parity
from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.training.modules import copied, trainable
from fmnist_zoo.training.muon import MOMENTUM
from fmnist_zoo.training.step import TrainingStep

UNIT_ROUNDOFF: dict[Precision, float] = {
    "fp32": 2.0**-24,
    "tf32": 2.0**-11,
    "fp16": 2.0**-11,
    "bf16": 2.0**-8,
    "bf16_weights": 2.0**-8,
}
"""Unit roundoff of each format."""
LOGITS_FACTOR, LEAST_LOGITS = 8.0, 1e-4
"""The RMS error of logits may be this many times the unit roundoff, and as much as this in any format: sums of
thousands of terms in another order alone differ by more than a few roundoffs of fp32."""
GRADIENTS_FACTOR, LEAST_GRADIENTS = 32.0, 1e-2
"""The same for gradients. They jump where rounding moves an activation across the kink of a ReLU or the tie of a
pooling: on two cores of an EPYC fp32 eager itself was off by up to 0.25% (`cnn`; torch 2.15 sums batch statistics of
channels-last images with an error of 1e-4, compiled code with 1e-7), and bf16 by 6% (`unet_encoder`). A wrong kernel,
a gradient left out or one that is scaled wrongly is off by tens of percent."""

MOST_OVERFLOWS = 17
"""Halvings of the gradient scaler's initial scale, 2 ** 16, to below 1."""

Reference = tuple[Tensor, list[Tensor]]
"""Logits `(batch, classes)` and gradients, one for each trainable parameter, all in fp64 on the CPU."""


def parity(
    model: nn.Module,
    recipe: Recipe,
    batch: tuple[Tensor, Tensor],
    *,
    scale: PixelScale,
    precision: Precision,
    engine: Engine,
    reference: Reference,
) -> Parity:
    """Errors of one training step of an arm, from the reference's weights on its batch.

    Args:
        model: on the device; not changed.
        recipe: its optimizer affects how a step is compiled; regularisation that would hide gradients is omitted.
        batch: pixels `(batch, 1, 28, 28)` uint8 and labels `(batch,)`.
        scale: from pixels to floats.
        precision: of the arm.
        engine: of the arm.
        reference: from `reference_of` for the same model, recipe and batch.
    """
    twin = undisturbed(copied(model))
    step = TrainingStep(twin, readable(recipe), scale=scale, precision=precision, engine=engine)
    step.warm_up([batch])
    logits, gradients = first_update(step, batch)
    logits_rms, logits_max = errors([logits], [reference[0]])
    gradients_rms, gradients_max = errors(gradients, reference[1])
    logits_limit, gradients_limit = tolerance(precision)
    return {
        "logits_rms": logits_rms,
        "logits_max": logits_max,
        "gradients_rms": gradients_rms,
        "gradients_max": gradients_max,
        "logits_limit": logits_limit,
        "gradients_limit": gradients_limit,
        # NaN fails as written.
        "passed": logits_rms <= logits_limit and gradients_rms <= gradients_limit,
    }


def first_update(step: TrainingStep, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Logits and gradients of the first step that updates the weights.

    In fp16 the gradient scaler's initial scale may overflow; it then skips the update and halves the scale.
    """
    overflows = 0
    while True:
        logits = step.chunk(*batch, [step.recipe.lr])
        gradients = [gradient_in(step, parameter) for parameter in step.parameters]
        if overflows == MOST_OVERFLOWS or any(bool(gradient.any()) for gradient in gradients):
            return logits, gradients
        overflows += 1


def reference_of(model: nn.Module, recipe: Recipe, batch: tuple[Tensor, Tensor], scale: PixelScale) -> Reference:
    """The same step computed in fp64, eagerly, up to its gradients."""
    images, labels = batch
    double = undisturbed(copied(model)).double().train()
    # On the CPU: MPS has no fp64, and a GPU's is no more exact.
    double, pixels, labels = double.cpu(), scale(images).double().cpu(), labels.cpu()
    with sdpa_kernel(SDPBackend.MATH):
        logits = double(pixels)
        if recipe.loss == "nll":
            loss = functional.nll_loss(logits, labels)
        else:
            loss = functional.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        loss.backward()
    zeros = (torch.zeros_like(parameter) for parameter in trainable(double))
    gradients = [
        zero if parameter.grad is None else parameter.grad
        for parameter, zero in zip(trainable(double), zeros, strict=True)
    ]
    return logits.detach(), gradients


def tolerance(precision: Precision) -> tuple[float, float]:
    """Tolerated RMS errors of logits and gradients, relative to the reference's RMS."""
    roundoff = UNIT_ROUNDOFF[precision]
    return max(LEAST_LOGITS, LOGITS_FACTOR * roundoff), max(LEAST_GRADIENTS, GRADIENTS_FACTOR * roundoff)


def errors(found: list[Tensor], expected: list[Tensor]) -> tuple[float, float]:
    """RMS error relative to the reference's RMS, and largest error relative to its largest magnitude."""
    flat = torch.cat([value.detach().double().cpu().flatten() for value in found])
    truth = torch.cat([value.flatten() for value in expected])
    error = flat - truth
    rms, largest = truth.square().mean().sqrt(), truth.abs().max()
    if not rms > 0:
        return math.nan, math.nan
    return float(error.square().mean().sqrt() / rms), float(error.abs().max() / largest)


def readable(recipe: Recipe) -> Recipe:
    """The recipe with an optimizer whose state holds the pure gradient after one step."""
    optimizer = recipe.optimizer
    if optimizer == "rmsprop" or (optimizer == "sgd" and not recipe.momentum):
        optimizer = "adamw"
    # SGD and Adam add the decayed weights to the gradient; AdamW and Muon don't.
    decay = 0.0 if optimizer in ("sgd", "adam") else recipe.weight_decay
    return replace(recipe, optimizer=optimizer, weight_decay=decay, clip_grad_norm=None, ema_decay=None)


def gradient_in(step: TrainingStep, parameter: Tensor) -> Tensor:
    """Gradient of a parameter's first update; zeros for one without a gradient."""
    state = step.optimizer.state.get(parameter, {})
    if "exp_avg" in state:
        beta1: float = step.optimizer.param_groups[0]["betas"][0]
        return state["exp_avg"] / (1 - beta1)
    if "momentum" in state:
        return state["momentum"] / (1 - MOMENTUM)
    if "momentum_buffer" in state:
        return state["momentum_buffer"]
    return torch.zeros_like(parameter)


def undisturbed(model: nn.Module) -> nn.Module:
    """The model with all kinds of dropout off, in place, for comparability."""
    off: dict[str, Callable[[nn.Module], object]] = {
        "p": lambda module: isinstance(module, nn.modules.dropout._DropoutNd),
        "dropout": lambda module: isinstance(module, nn.RNNBase),
        "drop_prob": lambda module: type(module).__name__ == "DropPath",  # timm's stochastic depth
    }
    for module in model.modules():
        for name, applies in off.items():
            if applies(module):
                setattr(module, name, 0.0)
    return model
