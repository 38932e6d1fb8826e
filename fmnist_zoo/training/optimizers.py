"""A recipe's optimizer, fused if torch has a kernel for the device, and capturable on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fmnist_zoo.recipe import Recipe
from fmnist_zoo.training.muon import Muon, hidden_matrices

_FUSED_DEVICES = ("cpu", "cuda", "mps")


def make_optimizer(parameters: Sequence[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """SGD, Adam, AdamW, RMSprop or Muon for the parameters of one device, with the recipe's learning rate and decay.

    Weight decay acts on tensors of two or more dimensions only: decaying biases and normalisation weights does not
    regularise (He et al., 2019, Bag of Tricks, arXiv:1812.01187). On CUDA learning rate and step counts are tensors
    on the device, so that a captured step reads their current values; see `set_lr`.
    """
    on_cuda = parameters[0].device.type == "cuda"
    orthogonal = hidden_matrices(parameters) if recipe.optimizer == "muon" else []
    taken = {id(parameter) for parameter in orthogonal}
    rest = [parameter for parameter in parameters if id(parameter) not in taken]
    groups: list[dict[str, Any]] = [
        {"params": orthogonal, "weight_decay": recipe.weight_decay, "orthogonal": True},
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = parameters[0].device.type in _FUSED_DEVICES
    optimizer = _build(recipe, groups, fused=fused, capturable=on_cuda)
    if on_cuda:
        lr = torch.tensor(recipe.lr, device=parameters[0].device)
        for group in optimizer.param_groups:
            group["lr"] = lr
    return optimizer


def _build(recipe: Recipe, groups: list[dict[str, Any]], *, fused: bool, capturable: bool) -> torch.optim.Optimizer:
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, fused=fused)
        case "adam":
            return torch.optim.Adam(groups, lr=recipe.lr, fused=fused, capturable=capturable)
        case "adamw":
            return torch.optim.AdamW(groups, lr=recipe.lr, fused=fused, capturable=capturable)
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, lr=recipe.lr, momentum=recipe.momentum, foreach=True, capturable=capturable
            )
        case "muon":
            return Muon(groups, lr=recipe.lr, fused=fused, capturable=capturable)


def set_lr(optimizer: torch.optim.Optimizer, lr: float | Tensor) -> None:
    """Set the learning rate for the following steps; a tensor `()` is copied on its device, without waiting.

    A step compiled as a whole takes the rate as an argument instead: `fmnist_zoo.training.whole.AdamState`.
    """
    for group in optimizer.param_groups:
        if not isinstance(group["lr"], Tensor):
            group["lr"] = lr
        elif isinstance(lr, Tensor):
            group["lr"].copy_(lr)
        else:
            group["lr"].fill_(lr)


def zero_state(optimizer: torch.optim.Optimizer) -> None:
    """Reset every moment and step count to 0 in place.

    Tensors are kept because a captured graph refers to them, and because fused SGD under a gradient scaler would leave
    momentum uninitialised if its very first step overflowed.
    """
    for state in optimizer.state.values():
        for value in state.values():
            if isinstance(value, torch.Tensor):
                value.zero_()
