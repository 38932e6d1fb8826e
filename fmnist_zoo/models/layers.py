"""Layers and checks shared by several families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

Activation = Literal["relu", "gelu", "silu", "tanh", "sigmoid"]
Norm = Literal["batch", "layer", "none"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def make_activation(name: Activation) -> nn.Module:
    """Activation module. ReLU is in place: its input is always a fresh tensor here."""
    return nn.ReLU(inplace=True) if name == "relu" else _ACTIVATIONS[name]()


def conv_norm_act(
    in_channels: int, out_channels: int, *, stride: int = 1, norm: Norm, activation: Activation
) -> nn.Sequential:
    """A 3x3 convolution, normalisation and activation: `(b, in, h, w)` to `(b, out, ceil(h / s), ceil(w / s))`."""
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=norm == "none")
    norms: dict[str, nn.Module] = {"batch": nn.BatchNorm2d(out_channels), "layer": nn.GroupNorm(1, out_channels)}
    return nn.Sequential(conv, *([norms[norm]] if norm != "none" else []), make_activation(activation))


def check_positive(**values: int | Sequence[int]) -> None:
    """Raise ValueError unless each value, or each item of a list, is at least 1; empty lists are refused."""
    for name, value in values.items():
        items = [value] if isinstance(value, int) else list(value)
        if not items or min(items) < 1:
            shown = value if isinstance(value, int) else "-".join(map(str, value)) or "nothing"
            raise ValueError(f"{name}={shown}: each value must be at least 1")


def check_probability(**values: float) -> None:
    """Raise ValueError unless each value lies in [0, 1)."""
    for name, value in values.items():
        if not 0.0 <= value < 1.0:
            raise ValueError(f"{name}={value} must be a probability of at least 0 and less than 1")
