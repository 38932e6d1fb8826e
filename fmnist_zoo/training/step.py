"""One training step: batch of pixels in, updated weights and logits out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional

from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.processor import part_compiler_cache
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.training.averaging import WeightAverage
from fmnist_zoo.training.device import check_engine
from fmnist_zoo.training.graph import Capture, CapturedSteps, NotCapturableError, capture_cuda
from fmnist_zoo.training.modules import check_loss, copied, trainable, worth_compiling
from fmnist_zoo.training.optimizers import make_optimizer, set_lr, zero_state
from fmnist_zoo.training.precision import allow_tf32, check_precision, compute, compute_module
from fmnist_zoo.training.whole import AdamState, can_be_whole, compiled_whole


class TrainingStep:
    """Forward pass, loss, backward pass, clipping, optimizer and weight averaging for one model on one device.

    The optimizer updates the weights of `model`; in `bf16_weights` they are the fp32 masters of a bf16 copy that
    computes. Nothing here waits for the device.

    Args:
        model: on the device, updated in place.
        recipe: how to train.
        scale: maps pixels to floats.
        precision: number format of the passes.
        engine: `eager`; `compile` for torch.compile, on a CPU of the whole step if possible; `graph` for the whole
            step, compiled inside, as a CUDA graph. If compilation or capture fails, the step warns once and runs
            without it; `engine` then names the actual engine, and `fallback` the reason.
        capture: creates the graph; a fake in tests.

    Raises:
        ValueError: the device lacks the precision or engine, or the loss doesn't suit the model's output.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        *,
        scale: PixelScale,
        precision: Precision,
        engine: Engine,
        capture: Capture = capture_cuda,
    ) -> None:
        self.parameters = trainable(model)
        self.device = self.parameters[0].device
        check_precision(precision, self.device)
        if capture is capture_cuda:
            check_engine(engine, self.device)
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
        self._capture = capture
        self._captured: CapturedSteps | None = None
        self._is_prepared = False
        self._loss = self._eager_loss
        self._whole: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
        self._wants_whole = engine == "compile" and can_be_whole(model, recipe, precision, self.device)
        self._rate = torch.tensor(recipe.lr)
        if not self._wants_whole and (engine == "compile" or (engine == "graph" and worth_compiling(model))):
            self._compile_loss()

    def __call__(
        self, images: UInt8[Tensor, "batch 1 28 28"], labels: Int64[Tensor, " batch"], lr: float
    ) -> Float[Tensor, "batch classes"]:
        """Update the weights with one batch; returns the logits from before the update."""
        return self.chunk(images, labels, [lr])

    def chunk(
        self,
        images: UInt8[Tensor, "images 1 28 28"],
        labels: Int64[Tensor, " images"],
        lrs: Sequence[float],
        on_step: Callable[[], None] = lambda: None,
    ) -> Float[Tensor, "images classes"]:
        """One step per learning rate and batch; returns each image's logits from before its update.

        `on_step` is called after each step, except captured ones.
        """
        if self._captured is not None:
            return self._captured(images, labels, lrs)
        size, logits = self.recipe.batch_size, list[Tensor]()
        for some, theirs, lr in zip(images.split(size), labels.split(size), lrs, strict=True):
            logits.append(self._update(some, theirs, lr))
            on_step()
        return torch.cat(logits)

    def parts(
        self, images: UInt8[Tensor, "batch 1 28 28"], labels: Int64[Tensor, " batch"], lr: float
    ) -> list[tuple[str, Callable[[], None]]] | None:
        """The calls that make up a step, in order: `forward`, `backward` and `optimizer`.

        For timing them; None if the step is one unit, captured or compiled as a whole.
        """
        if self._captured is not None or self._whole is not None:
            return None
        losses: list[Tensor] = []
        return [
            ("forward", lambda: losses.append(self._loss(images, labels)[0])),
            ("backward", lambda: self._backward(losses.pop())),
            ("optimizer", lambda: self._apply_gradients(lr)),
        ]

    def warm_up(self, chunks: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Run steps for compilation, capture and set-up, before training begins.

        Weights, optimizer, scaler and random state are restored afterwards, in place.

        Args:
            chunks: images and labels of one or more batches each.
        """
        tensors = [*self.model.parameters(), *self.model.buffers(), *self.module.parameters(), *self.module.buffers()]
        before = [tensor.detach().clone() for tensor in tensors]
        scaler = self._scaler.state_dict()
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            for images, labels in chunks:
                self._prepare(images[: self.recipe.batch_size], labels[: self.recipe.batch_size])
                self.chunk(images, labels, [self.recipe.lr] * (len(labels) // self.recipe.batch_size))
        zero_state(self.optimizer)
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(scaler)
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)
        if self._average is not None:
            self._average.reset()

    def tensors(self) -> dict[str, Tensor]:
        """All tensors changed by training, by name; the optimizer's exist after warm-up."""
        modules = {"model": self.model} if self.module is self.model else {"model": self.model, "module": self.module}
        found: dict[str, Tensor] = {}
        for prefix, module in modules.items():
            named = [*module.named_parameters(), *module.named_buffers()]
            found |= {f"{prefix}.{name}": tensor for name, tensor in named}
        for index, parameter in enumerate(self.parameters):
            state = self.optimizer.state.get(parameter, {})
            found |= {f"optimizer.{index}.{name}": value for name, value in state.items() if isinstance(value, Tensor)}
        if self._average is not None:
            found |= {f"average.{index}": tensor for index, tensor in enumerate(self._average.tensors)}
        return found

    @property
    def scaler(self) -> torch.amp.GradScaler:
        """Loss scaler of fp16; disabled in other precisions."""
        return self._scaler

    def finish(self) -> None:
        """Write the final weights (averaged, if enabled) and running statistics to `model`."""
        self.write_to(self.model)

    def evaluation_model(self) -> nn.Module:
        """A model for `write_to`: `model` itself if its weights are those to evaluate, else a copy."""
        return self.model if self._average is None and self.module is self.model else copied(self.model)

    @torch.no_grad()
    def write_to(self, target: nn.Module) -> None:
        """Copy the weights and running statistics to evaluate into a model of the same kind."""
        if target is not self.model:
            torch._foreach_copy_(trainable(target), self.parameters)
        for buffer, source in zip(target.buffers(), self.module.buffers(), strict=True):
            if buffer is not source:
                buffer.copy_(source)
        if self._average is not None:
            self._average.copy_to([*trainable(target), *target.buffers()])

    def _eager_loss(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = compute(self.module, self.scale(images), self.precision)
        if self.recipe.loss == "nll":
            return functional.nll_loss(logits, labels), logits
        return functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing), logits

    def _update(self, images: Tensor, labels: Tensor, lr: float | Tensor) -> Tensor:
        """The whole step, without waiting for the device and without Python values that change (for tracing)."""
        if self._whole is not None:
            return self._whole(images, labels, self._rate.fill_(lr))
        loss, logits = self._loss(images, labels)
        self._backward(loss)
        self._apply_gradients(lr)
        return logits.detach()

    def _backward(self, loss: Tensor) -> None:
        self._scaler.scale(loss).backward()

    def _apply_gradients(self, lr: float | Tensor) -> None:
        """Clipping, optimizer and weight averaging."""
        if self.module is not self.model:
            self._move_gradients()
        if self.recipe.clip_grad_norm is not None:
            self._scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_grad_norm)
        set_lr(self.optimizer, lr)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.module is not self.model:
            with torch.no_grad():
                torch._foreach_copy_(self._weights, self.parameters)
        if self._average is not None:
            self._average.update()

    def _prepare(self, images: Tensor, labels: Tensor) -> None:
        """First step: compile and capture, or fall back."""
        if self._is_prepared:
            return
        self._is_prepared = True
        logits = self._compiled_or_not(images, labels)
        if self._wants_whole:
            self._compile_whole(images, labels)
        if self.engine == "graph":
            try:
                self._check_scaler()
                self._captured = CapturedSteps(
                    self._update,
                    batch_size=self.recipe.batch_size,
                    num_classes=logits.shape[1],
                    device=self.device,
                    capture=self._capture,
                )
            except NotCapturableError as error:
                self._clear_broken_step()
                self._fall_back("eager" if self._loss == self._eager_loss else "compile", "capturing the step", error)

    def _check_scaler(self) -> None:
        if self._scaler.is_enabled() and not getattr(self.optimizer, "_step_supports_amp_scaling", False):
            raise NotCapturableError(
                f"with {self.recipe.optimizer} fp16's gradient scaler waits for the device in every step"
            )

    def _clear_broken_step(self) -> None:
        """Reset Python state left by an aborted step."""
        self.optimizer.zero_grad(set_to_none=True)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=self._scaler.is_enabled())
        for name in ("grad_scale", "found_inf"):
            vars(self.optimizer).pop(name, None)

    def _compile_loss(self) -> None:
        # Each variant is compiled once for its only batch shape: without a reset, dynamo's recompile limit counts
        # earlier variants too, and everything then silently runs eagerly.
        torch._dynamo.reset()
        part_compiler_cache()
        self._loss = torch.compile(self._eager_loss, dynamic=False)

    def _compile_whole(self, images: Tensor, labels: Tensor) -> None:
        """Compile the step as one function, once the optimizer has its state (created in its first step)."""
        if any("step" not in self.optimizer.state.get(parameter, {}) for parameter in self.parameters):
            self._wants_whole = False  # a parameter without a gradient: autograd's engine can skip it
            self._compile_loss()
            self._compiled_or_not(images, labels)
            return
        torch._dynamo.reset()
        part_compiler_cache()
        self._whole = compiled_whole(
            self._eager_loss,
            weights=self._weights,
            adam=AdamState(self.optimizer, self.parameters, decoupled=self.recipe.optimizer == "adamw"),
            clip_grad_norm=self.recipe.clip_grad_norm,
            average=self._average,
        )
        try:
            self._update(images, labels, self.recipe.lr)
        except Exception as error:
            if not _is_compiler_error(error):
                raise
            self._whole = None
            self._compile_loss()
            self._compiled_or_not(images, labels)
            if self.engine == "compile":  # else the parts failed as well, and that warning suffices
                self._fall_back("compile", "compiling the step as a whole", error)

    def _compiled_or_not(self, images: Tensor, labels: Tensor) -> Tensor:
        try:
            return self._update(images, labels, self.recipe.lr)
        except Exception as error:
            if self._loss == self._eager_loss or not _is_compiler_error(error):
                raise
            self._loss = self._eager_loss
            self._fall_back("graph" if self.engine == "graph" else "eager", "torch.compile", error)
            return self._update(images, labels, self.recipe.lr)

    def _fall_back(self, engine: Engine, what: str, error: Exception) -> None:
        self.engine = engine
        self.fallback = f"{what} failed; continuing without it: {type(error).__name__}: {str(error).splitlines()[0]}"
        warnings.warn(self.fallback, stacklevel=2)

    def _move_gradients(self) -> None:
        for master, weight in zip(self.parameters, self._weights, strict=True):
            master.grad = None if weight.grad is None else weight.grad.to(master.dtype)
            weight.grad = None


def _is_compiler_error(error: Exception) -> bool:
    """Whether an exception came from the compiler (missing C++ toolchain, unsupported operation)."""
    return type(error).__module__.startswith(("torch._dynamo", "torch._inductor", "triton"))
