"""Counted (not timed) floating-point operations of a model: 1 multiply-accumulate = 2 FLOPs.

As usual, matrix products, convolutions, recurrent layers and attention count; element-wise work does not. Known error:
products with padding zeros count, though a kernel may skip them. They are a tenth of a 3x3 convolution on 14 x 14
pixels, and three tenths on 4 x 4.

`count_flops` runs on the meta device, without arithmetic, where fused operations decompose into matrix products. On a
real device recurrent layers run as one operation unknown to torch's counter; `flop_counter` adds those of oneDNN (CPU)
and cuDNN (CUDA).

Don't time a forward pass under a counter. Some versions of torch's compiler stay slow in a process that counted: count
before compiling, or in another process.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True, kw_only=True, slots=True)
class FlopCount:
    """FLOPs for one image: forward, and forward plus backward."""

    forward_flops: int
    training_flops: int

    @property
    def forward_gmacs(self) -> float:
        """Billions of multiply-accumulates of the forward pass."""
        return self.forward_flops / 2e9

    @property
    def forward_gflops(self) -> float:
        """Billions of FLOPs of the forward pass."""
        return self.forward_flops / 1e9

    @property
    def training_gflops(self) -> float:
        """Billions of FLOPs of forward plus backward."""
        return self.training_flops / 1e9


def count_flops(model: nn.Module) -> FlopCount:
    """FLOPs of a model for one 1 x 28 x 28 image, counted on the meta device; the model is not changed."""
    shadow = meta_copy(model).train()
    batch = 2  # batch normalisation can't train on one value per channel
    with flop_counter() as forward:
        logits = shadow(torch.empty(batch, 1, 28, 28, device="meta", dtype=torch.float32))
    with flop_counter() as backward:
        logits.sum().backward()
    return FlopCount(
        forward_flops=forward.get_total_flops() // batch,
        training_flops=(forward.get_total_flops() + backward.get_total_flops()) // batch,
    )


def flop_counter() -> FlopCounterMode:
    """Torch's counter with formulas for fused recurrent layers; a silent context manager, read with `get_total_flops`.

    The formulas belong to this counter: torch's process-wide registry is unchanged.
    """
    return FlopCounterMode(display=False, custom_mapping=dict(_FORMULAS))


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy of a model on the meta device, with shapes and no memory; no weight is copied."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        shape = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(shape, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo).to("meta")


def _recurrent_forward(sequence: Tensor, weights: Sequence[Tensor]) -> int:
    """Each matrix (of all gates, layers, directions, projections) is applied to each element of each sequence."""
    return 2 * _num_elements(sequence) * sum(matrix.numel() for matrix in weights if matrix.dim() == 2)


def _recurrent_backward(sequence: Tensor, first_state: Tensor, layers: Sequence[Sequence[Tensor]], width: int) -> int:
    """Gradients of all matrices and their inputs, except inputs that need none.

    Args:
        sequence: the input, `(batch, steps, size)`, `(steps, batch, size)` or packed `(elements, size)`.
        first_state: `(layers x directions, batch, size)`.
        layers: the weights of each layer and direction, input weights first.
        width: number of first `layers` that see the input; the others see these layers' output.
    """
    elements = _num_elements(sequence)
    # The first state is no layer's output: if it needs no gradient, neither does the first step's product.
    states = elements if first_state.requires_grad else elements - first_state.shape[-2]
    total = 0
    for place, tensors in enumerate(layers):
        of_input, of_state, *others = (tensor.numel() for tensor in tensors if tensor.dim() == 2)
        of_weights = elements * (of_input + of_state + sum(others))
        of_inputs = elements * of_input if place >= width or sequence.requires_grad else 0
        total += of_weights + of_inputs + states * of_state + elements * sum(others)
    return 2 * total


def _num_elements(sequence: Tensor) -> int:
    return prod(sequence.shape[:-1])


# Arguments follow the operators' schemas: torch.ops.aten.<name>.default._schema.


def _mkldnn_forward(sequence: Tensor, *arguments: Any, **_: Any) -> int:
    return _recurrent_forward(sequence, arguments[:4])


def _mkldnn_backward(sequence: Tensor, *arguments: Any, **_: Any) -> int:
    weights, first_state = arguments[:4], arguments[4]  # of one layer in one direction
    return _recurrent_backward(sequence, first_state, [weights], 1)


def _cudnn_forward(sequence: Tensor, weights: Sequence[Tensor], *_: Any, **__: Any) -> int:
    return _recurrent_forward(sequence, weights)


def _cudnn_backward(sequence: Tensor, weights: Sequence[Tensor], stride: int, *arguments: Any, **_: Any) -> int:
    first_state, is_bidirectional = arguments[1], arguments[14]
    layers = [weights[start : start + stride] for start in range(0, len(weights), stride)]
    return _recurrent_backward(sequence, first_state, layers, 2 if is_bidirectional else 1)


def _raw(formula: Callable[..., int]) -> Callable[..., int]:
    """Make the counter pass tensors to a formula: shapes alone don't tell which need a gradient."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


_FORMULAS = {
    torch.ops.aten.mkldnn_rnn_layer: _raw(_mkldnn_forward),
    torch.ops.aten.mkldnn_rnn_layer_backward: _raw(_mkldnn_backward),
    torch.ops.aten._cudnn_rnn: _raw(_cudnn_forward),
    torch.ops.aten._cudnn_rnn_backward: _raw(_cudnn_backward),
}
