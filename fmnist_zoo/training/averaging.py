"""An exponential moving average of a model's weights over the steps of its training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class WeightAverage:
    """Keeps averages of tensors that training changes: weights, and the running statistics that belong to them.

    The decay rises from 0.1 towards its value, `min(decay, (1 + t) / (10 + t))` after t updates, so that the random
    weights of the start are soon forgotten (as in TensorFlow's `ExponentialMovingAverage` with `num_updates`).

    Args:
        tensors: what is averaged; only floating-point ones are, the others are left out.
        decay: weight of the past in each update, once it is reached.
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float) -> None:
        self._sources = [tensor for tensor in tensors if tensor.is_floating_point()]
        self._decay = decay
        self._averages = [tensor.detach().clone() for tensor in self._sources]
        # A tensor on the device: a captured update has to count too.
        self._updates = torch.zeros((), device=self._sources[0].device)

    @property
    def tensors(self) -> list[Tensor]:
        """The averages, and the count of updates: all that it remembers."""
        return [*self._averages, self._updates]

    @torch.no_grad()
    def update(self) -> None:
        """Take the tensors as they are now into the averages."""
        decay = ((1 + self._updates) / (10 + self._updates)).clamp_max_(self._decay)
        moves = torch._foreach_sub(self._sources, self._averages)
        torch._foreach_mul_(moves, 1 - decay)
        torch._foreach_add_(self._averages, moves)
        self._updates += 1

    @torch.no_grad()
    def reset(self) -> None:
        """Begin anew from the tensors as they are now."""
        torch._foreach_copy_(self._averages, self._sources)
        self._updates.zero_()

    @torch.no_grad()
    def copy_to(self, tensors: Sequence[Tensor]) -> None:
        """Write the averages into tensors of another model, given in the same order as the constructor's."""
        torch._foreach_copy_([tensor for tensor in tensors if tensor.is_floating_point()], self._averages)
