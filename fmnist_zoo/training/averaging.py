"""Exponential moving average of a model's weights over training steps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class WeightAverage:
    """Averages of weights and their running statistics.

    The decay rises from 0.1, `min(decay, (1 + t) / (10 + t))` after t updates, so that the random initial weights are
    soon forgotten (as in TensorFlow's `ExponentialMovingAverage` with `num_updates`).

    Args:
        tensors: to be averaged; only floating-point ones are.
        decay: final weight of the past in each update.
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float) -> None:
        self._sources = [tensor for tensor in tensors if tensor.is_floating_point()]
        self._decay = decay
        self._averages = [tensor.detach().clone() for tensor in self._sources]
        # A tensor on the device, so that captured updates count too.
        self._updates = torch.zeros((), device=self._sources[0].device)

    @property
    def tensors(self) -> list[Tensor]:
        """All state: the averages and the count of updates."""
        return [*self._averages, self._updates]

    @torch.no_grad()
    def update(self) -> None:
        """Update the averages with the current tensors."""
        decay = ((1 + self._updates) / (10 + self._updates)).clamp_max_(self._decay)
        moves = torch._foreach_sub(self._sources, self._averages)
        torch._foreach_mul_(moves, 1 - decay)
        torch._foreach_add_(self._averages, moves)
        self._updates += 1

    @torch.no_grad()
    def reset(self) -> None:
        """Restart from the current tensors."""
        torch._foreach_copy_(self._averages, self._sources)
        self._updates.zero_()

    @torch.no_grad()
    def copy_to(self, tensors: Sequence[Tensor]) -> None:
        """Copy the averages into another model's tensors, in the order of the constructor's."""
        torch._foreach_copy_([tensor for tensor in tensors if tensor.is_floating_point()], self._averages)
