"""Floating-point operations of a model, counted on the meta device: no arithmetic runs and nothing is timed there.

On a real device recurrent layers run as one fused operation of which torch's counter knows nothing; on the meta device
they decompose into matrix products, which it counts. Only matrix products, convolutions and attention count, as is
usual (1 multiply-accumulate = 2 FLOPs); element-wise work does not.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, kw_only=True, slots=True)
class FlopCount:
    """FLOPs for one image: of the forward pass, and of forward and backward together."""

    forward_flops: int
    training_flops: int


def count_flops(model: nn.Module) -> FlopCount:
    """Count the FLOPs of a model for one image of 1 x 28 x 28; the model itself is left alone."""
    shadow = copy.deepcopy(model).to("meta").train()
    batch = 2  # batch normalisation can't train on one value a channel
    with FlopCounterMode(display=False) as forward:
        logits = shadow(torch.empty(batch, 1, 28, 28, device="meta"))
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    return FlopCount(
        forward_flops=forward.get_total_flops() // batch,
        training_flops=(forward.get_total_flops() + backward.get_total_flops()) // batch,
    )
