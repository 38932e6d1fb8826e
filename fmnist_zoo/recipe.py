"""Training recipe: budget, optimisation, regularisation and augmentation, as frozen dataclasses.

Imports no torch, so that command lines and plans don't need it.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

InputScaling = Literal["unit", "symmetric", "standardize"]
Loss = Literal["cross_entropy", "nll"]
Optimizer = Literal["sgd", "adam", "adamw", "rmsprop", "muon"]
Schedule = Literal["constant", "cosine", "one_cycle"]
BudgetKind = Literal["epochs", "seconds", "flops"]
Precision = Literal["fp32", "tf32", "bf16", "fp16", "bf16_weights"]
Engine = Literal["eager", "compile", "graph"]


@dataclass(frozen=True, slots=True)
class Budget:
    """When training ends: after a number of epochs, training seconds or floating-point operations."""

    kind: BudgetKind
    amount: float

    def __post_init__(self) -> None:
        if self.kind not in get_args(BudgetKind):
            raise ValueError(f"budget kind {self.kind!r} is unknown; use one of {', '.join(get_args(BudgetKind))}")
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise ValueError(f"budget {self}: the amount must be a positive number, as in {self.kind}:5")
        if self.kind == "epochs" and self.amount != int(self.amount):
            raise ValueError(f"budget epochs:{self.amount} must be a whole number of epochs")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read `epochs:5`, `seconds:30` or `flops:1e15`; ValueError otherwise."""
        kind, separator, amount = text.partition(":")
        try:
            return cls(kind=kind, amount=float(amount))  # type: ignore[arg-type]  # checked in __post_init__
        except ValueError as error:
            if separator and kind in get_args(BudgetKind) and "budget" in str(error):
                raise
            raise ValueError(f"budget {text!r} is not of the form epochs:N, seconds:N or flops:N") from None

    def __str__(self) -> str:
        return f"{self.kind}:{_number(self.amount)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Random changes to training images, drawn for each image in each epoch.

    Attributes:
        shift: largest move in pixels, in each direction; filled with background (0).
        flip: mirror left to right with probability one half.
        erase: probability of erasing a rectangle of 2 to 40% of the image (Zhong et al., 2017, "Random Erasing Data
            Augmentation", arXiv:1708.04896), filled with the mean of the training pixels.
    """

    shift: int = 0
    flip: bool = False
    erase: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.shift <= 8:
            raise ValueError(f"augmentation shift:{self.shift} must lie between 0 and 8 pixels")
        if not 0.0 <= self.erase <= 1.0:
            raise ValueError(f"augmentation erase:{self.erase} must be a probability between 0 and 1")

    @classmethod
    def parse(cls, text: str) -> Augmentation:
        """Read `none`, or a list such as `shift:2,flip,erase:0.25`; ValueError otherwise."""
        values: dict[str, Any] = {}
        for part in [] if text == "none" else text.split(","):
            name, _, amount = part.partition(":")
            if name in values:
                raise ValueError(f"augmentation {text!r} names {name} twice")
            try:
                match name:
                    case "shift":
                        values[name] = int(amount or 2)
                    case "flip" if not amount:
                        values[name] = True
                    case "erase":
                        values[name] = float(amount or 0.25)
                    case _:
                        raise ValueError(part)
            except ValueError:
                raise ValueError(
                    f"augmentation {text!r}: {part!r} is unknown; use none, or shift:PIXELS, flip and "
                    "erase:PROBABILITY joined by commas"
                ) from None
        return cls(**values)

    def __str__(self) -> str:
        parts = (
            [f"shift:{self.shift}"] * (self.shift > 0)
            + ["flip"] * self.flip
            + [f"erase:{_number(self.erase)}"] * (self.erase > 0)
        )
        return ",".join(parts) or "none"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a model is trained. The same recipe and seed give the same batches and augmentation to every model.

    Attributes:
        budget: when training ends.
        batch_size: images per step; an epoch's incomplete last batch is dropped.
        input_scaling: `unit` maps pixels to [0, 1], `symmetric` to [-1, 1], `standardize` to mean 0 and deviation 1.
        loss: `cross_entropy` on logits, or `nll` on log-probabilities (only for models that end in log-softmax).
        optimizer: `sgd`, `adam`, `adamw`, `rmsprop`, or `muon` for the hidden layers' matrices with AdamW for the rest.
        lr: peak learning rate of the schedule.
        schedule: `constant` (after the warm-up), `cosine` (linear warm-up, then a cosine to 0) or `one_cycle` (Smith &
            Topin, 2017, arXiv:1708.07120: a cosine up from lr/25, then a cosine down to 0; momentum stays).
        lr_warmup_fraction: share of the budget over which the learning rate rises.
        weight_decay: applied to matrices and kernels, not to biases and normalisation weights.
        momentum: of SGD and RMSprop; others use torch's defaults.
        label_smoothing: share of the target spread evenly over the classes.
        augmentation: see Augmentation.
        ema_decay: decay of the average of weights that is evaluated; None for no averaging.
        clip_grad_norm: largest norm of the whole gradient; None for no clipping.
    """

    budget: Budget = Budget("epochs", 20)
    batch_size: int = 256
    input_scaling: InputScaling = "standardize"
    loss: Loss = "cross_entropy"
    optimizer: Optimizer = "adamw"
    lr: float = 2e-3
    schedule: Schedule = "one_cycle"
    lr_warmup_fraction: float = 0.2
    weight_decay: float = 0.05
    momentum: float = 0.9
    label_smoothing: float = 0.0
    augmentation: Augmentation = Augmentation()
    ema_decay: float | None = None
    clip_grad_norm: float | None = None

    def __post_init__(self) -> None:
        choices = {"input_scaling": InputScaling, "loss": Loss, "optimizer": Optimizer, "schedule": Schedule}
        for name, choice in choices.items():
            if getattr(self, name) not in get_args(choice):
                raise ValueError(f"{name} {getattr(self, name)!r} is unknown; use one of {', '.join(get_args(choice))}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size {self.batch_size} must be at least 1")
        for name, low, high in [
            ("lr", _TINY, math.inf),
            ("weight_decay", 0.0, math.inf),
            ("momentum", 0.0, 1.0),
            ("label_smoothing", 0.0, 1.0),
            ("lr_warmup_fraction", 0.0, 1.0),
            ("ema_decay", 0.0, 1.0),
            ("clip_grad_norm", _TINY, math.inf),
        ]:
            value = getattr(self, name)
            if value is not None and not (low <= value < high):
                bounds = f"above 0 and below {high:g}" if low else f"at least 0 and below {high:g}"
                raise ValueError(f"{name} {value} must be {bounds}")
        if self.loss == "nll" and self.label_smoothing:
            raise ValueError(f"label_smoothing {self.label_smoothing} needs loss cross_entropy, not nll")

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; budget and augmentation as typed on the command line."""
        return {**asdict(self), "budget": str(self.budget), "augmentation": str(self.augmentation)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Inverse of as_dict; ValueError if a field is unknown."""
        if unknown := set(values) - {field.name for field in fields(cls)}:
            raise ValueError(f"recipe has no field {', '.join(sorted(unknown))}")
        values = dict(values)
        if "budget" in values:
            values["budget"] = Budget.parse(values["budget"])
        if "augmentation" in values:
            values["augmentation"] = Augmentation.parse(values["augmentation"])
        return cls(**values)


_TINY = sys.float_info.min  # smallest normal number: denormals may be flushed to 0


def _number(value: float) -> str:
    """Shortest text that parses to the same number."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)
