"""One training step: a batch of pixels in, updated weights and the batch's logits out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.training.averaging import WeightAverage
from fmnist_zoo.training.optimizers import make_optimizer, zero_state
from fmnist_zoo.training.precision import allow_tf32, check_precision, compute_in, compute_module


class TrainingStep:
    """Forward pass, loss, backward pass, clipping, optimizer and weight averaging for one model, on one device.

    The weights of `model` are the ones that the optimizer updates; in `bf16_weights` they are the fp32 masters of a
    bf16 copy that does the computing. Nothing here waits for the device.

    Args:
        model: on the device, updated in place.
        recipe: what to do.
        scale: from pixels to floats.
        precision: number format of the passes.
        engine: `eager`, or `compile` for torch.compile. Where compiling fails, one warning is given and the step runs
            eagerly; `engine` then says `eager` and `fallback` why.

    Raises:
        ValueError: the device can't compute in this precision, or the loss doesn't fit the model's output.
    """

    def __init__(
        self, model: nn.Module, recipe: Recipe, *, scale: PixelScale, precision: Precision, engine: Engine
    ) -> None:
        self.parameters = trainable(model)
        self.device = self.parameters[0].device
        check_precision(precision, self.device)
        check_loss(model, recipe)
        self.model, self.recipe, self.scale, self.precision = model, recipe, scale, precision
        self.engine: Engine = engine
        self.fallback: str | None = None
        allow_tf32(precision)
        self.module = compute_module(model, precision).train()
        self._weights = trainable(self.module)
        self.optimizer = make_optimizer(self.parameters, recipe)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=precision == "fp16")
        learnt = [*self.parameters, *self.module.buffers()]
        self._average = None if recipe.ema_decay is None else WeightAverage(learnt, recipe.ema_decay)
        if engine == "compile":
            # Each variant is compiled once for its one batch shape: without a reset, dynamo's limit of recompiles
            # counts the variants before it and then runs everything eagerly without a word.
            torch._dynamo.reset()
            self._loss = torch.compile(self._eager_loss, dynamic=False)
        else:
            self._loss = self._eager_loss

    def __call__(
        self, images: UInt8[Tensor, "batch 1 28 28"], labels: Int64[Tensor, " batch"], lr: float
    ) -> Float[Tensor, "batch classes"]:
        """Update the weights with one batch; returns its logits from before the update."""
        loss, logits = self._loss(images, labels)
        self._scaler.scale(loss).backward()
        if self.module is not self.model:
            self._move_gradients()
        if self.recipe.clip_grad_norm is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.module is not self.model:
            with torch.no_grad():
                torch._foreach_copy_(self._weights, self.parameters)
        if self._average is not None:
            self._average.update()
        return logits.detach()

    def warm_up(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Run steps that leave no trace, so that compiling and first-use set-up are paid before training begins.

        Weights, optimizer, scaler and random state are put back afterwards.
        """
        tensors = [*self.model.parameters(), *self.model.buffers(), *self.module.parameters(), *self.module.buffers()]
        before = [tensor.detach().clone() for tensor in tensors]
        scaler = self._scaler.state_dict()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            for images, labels in batches:
                self._guarded(images, labels)
        zero_state(self.optimizer)
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(scaler)
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        if self._average is not None:
            self._average.reset()

    def finish(self) -> None:
        """Leave in `model` what training arrived at: averaged weights where there are any, and running statistics."""
        self._write_to(self.model)

    def evaluated_model(self) -> nn.Module:
        """A model with the weights that would be evaluated now: `model` itself, or a copy where they are averaged."""
        if self._average is None and self.module is self.model:
            return self.model
        snapshot = copy.deepcopy(self.model)
        self._write_to(snapshot)
        return snapshot

    @torch.no_grad()
    def _write_to(self, target: nn.Module) -> None:
        """Give a model of the same kind the weights and running statistics that are to be evaluated."""
        if target is not self.model:
            torch._foreach_copy_(trainable(target), self.parameters)
        for buffer, source in zip(target.buffers(), self.module.buffers(), strict=True):
            buffer.copy_(source)
        if self._average is not None:
            self._average.copy_to([*trainable(target), *target.buffers()])

    def _eager_loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        pixels = self.scale(images)
        if self.precision == "bf16_weights":
            pixels = pixels.bfloat16()
        with compute_in(self.precision, self.device):
            logits = self.module(pixels)
        logits = logits.float()
        if self.recipe.loss == "nll":
            return functional.nll_loss(logits, labels), logits
        return functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing), logits

    def _guarded(self, images: Tensor, labels: Tensor) -> None:
        try:
            self(images, labels, self.recipe.lr)
        except Exception as error:
            if self.engine == "eager" or not _is_compiler_error(error):
                raise
            self.engine, self._loss = "eager", self._eager_loss
            self.fallback = (
                f"torch.compile failed, so this ran eagerly: {type(error).__name__}: {str(error).splitlines()[0]}"
            )
            warnings.warn(self.fallback, stacklevel=2)
            self(images, labels, self.recipe.lr)

    def _move_gradients(self) -> None:
        for master, weight in zip(self.parameters, self._weights, strict=True):
            master.grad = None if weight.grad is None else weight.grad.to(master.dtype)
            weight.grad = None


def trainable(model: nn.Module) -> list[Tensor]:
    """The parameters that training updates, in the order of the model."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def check_loss(model: nn.Module, recipe: Recipe) -> None:
    """ValueError where the loss doesn't fit what the model puts out: NLL needs log-probabilities, not raw logits."""
    if recipe.loss == "nll" and not getattr(model, "log_probabilities", False):
        raise ValueError(
            "loss nll needs a model that ends in log-softmax, and this one gives raw logits; use cross_entropy"
        )


def _is_compiler_error(error: Exception) -> bool:
    """Whether an exception came out of the compiler (a missing C++ toolchain, an unsupported operation)."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton"))
