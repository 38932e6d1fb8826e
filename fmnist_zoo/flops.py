"""Floating-point operations of a model, counted and not timed: 1 multiply-accumulate = 2 FLOPs.

Only matrix products, convolutions, recurrent layers and attention count, as is usual; element-wise work does not. The
known error: products with the zeros of a padding count, which a kernel may skip. They are a tenth of a 3x3 convolution
on 14 x 14 pixels, and three tenths on 4 x 4.

The main way is `count_flops`, on the meta device: no arithmetic runs there, and what is fused elsewhere decomposes into
matrix products. On a real device recurrent layers run as one operation of which torch's counter knows nothing;
`flop_counter` knows those of oneDNN (CPU) and cuDNN (CUDA).

A forward pass under a counter is no pass to be timed, and some versions of torch's compiler stay slow in a process that
counted: count before anything is compiled, or in another process.
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
    """FLOPs for one image: of the forward pass, and of forward and backward together."""

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
        """Billions of FLOPs of forward and backward together."""
        return self.training_flops / 1e9


def count_flops(model: nn.Module) -> FlopCount:
    """Count the FLOPs of a model for one image of 1 x 28 x 28, on the meta device; the model itself is left alone."""
    shadow = meta_copy(model).train()
    batch = 2  # batch normalisation can't train on one value a channel
    with flop_counter() as forward:
        logits = shadow(torch.empty(batch, 1, 28, 28, device="meta", dtype=torch.float32))
    with flop_counter() as backward:
        logits.sum().backward()
    return FlopCount(
        forward_flops=forward.get_total_flops() // batch,
        training_flops=(forward.get_total_flops() + backward.get_total_flops()) // batch,
    )


def flop_counter() -> FlopCounterMode:
    """Torch's counter with formulas for fused recurrent layers; a context, silent, read with `get_total_flops`.

    The formulas are this counter's own: torch's registry, which all of a process share, stays as it is.
    """
    return FlopCounterMode(display=False, custom_mapping=dict(_FORMULAS))


def meta_copy(model: nn.Module) -> nn.Module:
    """A copy of a model on the meta device, made without copying a weight: it has shapes and no memory."""
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        shape = torch.empty_like(parameter, device="meta")
        memo[id(parameter)] = nn.Parameter(shape, requires_grad=parameter.requires_grad)
    for buffer in model.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(model, memo).to("meta")


def _recurrent_forward(sequence: Tensor, weights: Sequence[Tensor]) -> int:
    """Each matrix is applied to each element of each sequence: those of all gates, layers, directions, projections."""
    return 2 * _num_elements(sequence) * sum(matrix.numel() for matrix in weights if matrix.dim() == 2)


def _recurrent_backward(sequence: Tensor, first_state: Tensor, layers: Sequence[Sequence[Tensor]], width: int) -> int:
    """Gradients of all matrices, and of all that they are applied to, but of what needs no gradient.

    Args:
        sequence: the input, `(batch, steps, size)`, `(steps, batch, size)` or packed `(elements, size)`.
        first_state: `(layers x directions, batch, size)`.
        layers: the weights of each layer and direction, that of its input first.
        width: how many of the first `layers` see the input; the others see what these put out.
    """
    elements = _num_elements(sequence)
    # The first state is nobody's output: where it needs no gradient, the first step's product needs none either.
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


# The arguments below are those of the operators' schemas: torch.ops.aten.<name>.default._schema.


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
    """Have the counter hand the tensors themselves to a formula: of shapes alone nobody knows who needs a gradient."""
    formula._get_raw = True  # type: ignore[attr-defined]
    return formula


_FORMULAS = {
    torch.ops.aten.mkldnn_rnn_layer: _raw(_mkldnn_forward),
    torch.ops.aten.mkldnn_rnn_layer_backward: _raw(_mkldnn_backward),
    torch.ops.aten._cudnn_rnn: _raw(_cudnn_forward),
    torch.ops.aten._cudnn_rnn_backward: _raw(_cudnn_backward),
}
