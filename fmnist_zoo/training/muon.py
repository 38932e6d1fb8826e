"""Muon: momentum orthogonalised before it is applied, so that no direction of a layer starves.

Jordan et al., 2024, "Muon: An optimizer for hidden layers in neural networks" (https://kellerjordan.github.io/posts/muon),
scaled to work with AdamW's learning rate and weight decay (Liu et al., 2025, "Muon is scalable for LLM
training", arXiv:2502.16982).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fmnist_zoo.processor import has_bf16

MOMENTUM = 0.95
SMALLEST_SIDE = 16
"""Smallest side of a matrix to orthogonalise; below, there are too few directions for it to matter."""


def hidden_matrices(parameters: Sequence[Tensor]) -> list[Tensor]:
    """Weights of hidden layers, for Muon; a kernel counts as the matrix (out channels, all the rest).

    Excludes a model's last matrix, its classifier, and position embeddings, which have three dimensions.
    """
    matrices = [parameter for parameter in parameters if parameter.ndim in (2, 4)]
    return [matrix for matrix in matrices[:-1] if min(len(matrix), matrix.numel() // len(matrix)) >= SMALLEST_SIDE]


class Muon(torch.optim.AdamW):
    """Muon for the groups with `"orthogonal": True`, AdamW for the others, at one learning rate.

    Args:
        groups: parameter groups.
        lr: of both.
        fused: AdamW as one kernel.
        capturable: for CUDA graphs, with a learning rate that is a tensor.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, lr: float | Tensor, fused: bool, capturable: bool) -> None:
        super().__init__(groups, lr=lr, fused=fused, capturable=capturable)
        # A fused optimizer is handed scaled gradients; Muon's momentum must never see them, nor an overflow.
        self._step_supports_amp_scaling = False

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update all parameters that have a gradient; gradients of orthogonalised ones are cleared."""
        for group in self.param_groups:
            if group.get("orthogonal"):
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._orthogonal_step(parameter, group["lr"], group["weight_decay"])
                        parameter.grad = None  # AdamW skips parameters without a gradient
        super().step()

    def _orthogonal_step(self, parameter: Tensor, lr: float | Tensor, weight_decay: float) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        ahead = gradient.lerp(average, MOMENTUM)  # Nesterov's
        update = orthogonalized(ahead.flatten(1)).view(parameter.shape).to(parameter.dtype)
        rows, columns = len(parameter), parameter.numel() // len(parameter)
        # An orthogonal matrix has the mean square 1 / max(rows, columns); AdamW's updates have about 0.2 squared.
        parameter.mul_(1 - lr * weight_decay).sub_(update * (lr * 0.2 * math.sqrt(max(rows, columns))))


def orthogonalized(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Approximate orthogonal factor of a matrix's polar decomposition: all singular values about 1.

    Five Newton-Schulz iterations with Jordan's coefficients, bring singular values to about 0.7 to 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16() if has_bf16(matrix.device) else matrix.float()
    wide = x.T if len(x) > x.shape[1] else x
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(5):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.T if len(x) > x.shape[1] else wide
