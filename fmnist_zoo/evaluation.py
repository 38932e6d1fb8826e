"""Logits on a split, and their scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import Tensor, nn
from torch.nn import functional

from fmnist_zoo.data.datasets import Split
from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.processor import part_compiler_cache
from fmnist_zoo.recipe import Engine, Precision
from fmnist_zoo.training.device import check_engine
from fmnist_zoo.training.graph import CapturedForward
from fmnist_zoo.training.precision import compute, compute_module

if TYPE_CHECKING:
    from fmnist_zoo.training.step import TrainingStep

BATCH_SIZE = 500
"""Images per batch in evaluation: divides 5,000 and 10,000, and activations fit a CPU's cache."""


class Predictor:
    """Classifies pixels with a model in eval mode, in one precision and engine.

    Args:
        model: on its device; only put into eval mode.
        scale: maps pixels to floats, as in training.
        precision: number format of the forward pass.
        engine: `eager`, `compile`, or `graph` for a CUDA graph of each batch shape.
    """

    def __init__(
        self, model: nn.Module, *, scale: PixelScale, precision: Precision = "fp32", engine: Engine = "eager"
    ) -> None:
        self.device = next(model.parameters()).device
        check_engine(engine, self.device)
        self._model = model
        self._module = compute_module(model, precision).eval()
        self._scale, self._precision = scale, precision
        self._forward: Callable[[Tensor], Tensor] = self._eager_forward
        if engine == "compile":
            part_compiler_cache()
            self._forward = torch.compile(self._eager_forward, dynamic=False)
        elif engine == "graph":
            self._forward = CapturedForward(self._eager_forward)

    @torch.inference_mode()
    def __call__(self, images: UInt8[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch classes"]:
        """Logits in fp32."""
        return self._forward(images)

    @torch.no_grad()
    def refresh(self) -> None:
        """Use the model's current weights, after further training."""
        if self._module is not self._model:
            for mine, theirs in zip(_tensors(self._module), _tensors(self._model), strict=True):
                mine.copy_(theirs)
        self._module.eval()

    def logits(self, images: UInt8[Tensor, "n 1 28 28"], batch_size: int = BATCH_SIZE) -> Float[Tensor, "n classes"]:
        """Logits of any number of images, in batches."""
        return torch.cat([self(batch) for batch in images.split(batch_size)])

    def _eager_forward(self, images: Tensor) -> Tensor:
        return compute(self._module, self._scale(images), self._precision)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def evaluate(
    model: nn.Module, split: Split, *, scale: PixelScale, precision: Precision = "fp32", engine: Engine = "eager"
) -> dict[str, Any]:
    """Classify a split and score it.

    Args:
        model: on any device.
        split: images and labels; moved to the model's device.
        scale: maps pixels to floats, as in training (`FitResult.scale`).
        precision: number format of the forward pass.
        engine: `eager`, `compile` or `graph`.

    Returns:
        The scores of `scores`, and the logits `(n, classes)` under `logits`.
    """
    was_training = model.training
    predictor = Predictor(model, scale=scale, precision=precision, engine=engine)
    split = split.to(predictor.device)
    logits = predictor.logits(split.images)
    model.train(was_training)
    return {**scores(logits, split.labels), "logits": logits}


def loss_and_top1(logits: Float[Tensor, "n classes"], labels: Tensor) -> Float[Tensor, "2"]:
    """Mean cross-entropy (nats) and top-1 (percent) as one tensor on the device, so reading them synchronizes once."""
    logits = logits.float()
    correct = (logits.argmax(1) == labels).float().mean() * 100.0
    return torch.stack([functional.cross_entropy(logits, labels), correct])


def scores(logits: Float[Tensor, "n classes"], labels: Tensor) -> dict[str, Any]:
    """Scores of predictions, from scikit-learn where available.

    Returns:
        `top1_pct`, `nll` (mean negative log-likelihood, nats), `macro_f1` (0 to 1), `per_class` (a list of precision,
        recall, f1 and support by class) and `confusion_matrix` (rows: true class, columns: predicted).
    """
    nll, top1_pct = loss_and_top1(logits, labels).tolist()
    truth, predicted = labels.cpu().numpy(), logits.argmax(1).cpu().numpy()
    classes = np.arange(logits.shape[1])
    table: Any = precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0)
    names = ("precision", "recall", "f1", "support")
    return {
        "top1_pct": top1_pct,
        "nll": nll,
        "macro_f1": float(table[2].mean()),
        "per_class": [
            {name: column[index].item() for name, column in zip(names, table, strict=True)} for index in classes
        ],
        "confusion_matrix": confusion_matrix(truth, predicted, labels=classes).tolist(),
    }


class Validation:
    """Loss and top-1 on held-out images after each epoch, with the weights to be evaluated.

    Args:
        step: the training step.
        val: images and labels on its device.
    """

    def __init__(self, step: TrainingStep, val: Split) -> None:
        self._step, self._val = step, val
        self._model = step.evaluation_model()
        # Eager unless captured: compiling a forward pass for a few thousand images doesn't pay.
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
