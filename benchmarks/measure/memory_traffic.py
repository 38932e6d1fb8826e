"""Bytes that a training step has to move at least, by what they are: under its FLOPs the arithmetic intensity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

from fmnist_zoo.training.modules import trainable
from fmnist_zoo.training.precision import compute
from fmnist_zoo.training.step import TrainingStep


def step_traffic(
    step: TrainingStep, images: UInt8[Tensor, "batch 1 28 28"], labels: Int64[Tensor, " batch"]
) -> dict[str, int]:
    """Bytes that one step reads and writes at least, each tensor once a direction, by what they are.

    Activations are measured: those that one eager forward pass saves for its backward pass, in the step's precision.
    The known error: it is a least, and caches may hold some of it from one part of the step to the next, so that less
    reaches the memory. More is moved by what isn't counted: activations that nothing saves, gradients of activations,
    casts of weights within the passes, workspaces, tensors that are read several times, and what the loss saves. A
    compiler may save less, by computing activations again, and a captured step moves what an eager one does.

    The pass leaves no trace: random state, running statistics, modes and gradients are put back or not touched. It
    allocates memory, so measure peaks before.

    Args:
        step: that has taken a step, so that its optimizer has its state.
        images: a batch of the recipe's size, on the device.
        labels: of it.
    """
    assert len(images) == len(labels) == step.recipe.batch_size, "step traffic is for a full batch"
    sizes = {**state_traffic(step), "input batch (uint8 pixels, int64 labels), read once": _size([images, labels])}
    return sizes | {"activations saved for the backward pass, written and read once": 2 * saved_bytes(step, images)}


def state_traffic(step: TrainingStep) -> dict[str, int]:
    """The bytes of weights, gradients and optimizer: what a step moves whatever the batch."""
    masters, weights = trainable(step.model), trainable(step.module)
    state = [value for entry in step.optimizer.state.values() for value in entry.values() if torch.is_tensor(value)]
    sizes = {"weights, read and written once": 2 * _size(masters)}
    if step.module is not step.model:
        sizes["bf16 copies of weights, written and read once"] = 2 * _size(weights)
    sizes["gradients, written and read once"] = 2 * _size(weights)
    sizes["optimizer state, read and written once"] = 2 * _size(state)
    if step.recipe.ema_decay is not None:
        sizes["averaged weights, read and written once"] = 2 * _size(masters)
    return sizes


def saved_bytes(step: TrainingStep, images: UInt8[Tensor, "batch 1 28 28"]) -> int:
    """What a forward pass saves for its backward pass: each storage once, weights and their casts left out."""
    weights = {_storage(tensor) for tensor in [*step.module.parameters(), *step.module.buffers()]}
    saved: dict[int, Tensor] = {}  # tensors, not sizes: a storage that was freed could give its address to another

    def pack(tensor: Tensor) -> Tensor:
        saved[_storage(tensor)] = tensor
        return tensor

    with _without_trace(step.module, step.device), Casts(weights) as casts:
        pixels = step.scale(images)
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            compute(step.module, pixels, step.precision)
    left_out = weights | casts.storages | {_storage(images)}  # the batch is counted for itself
    return sum(tensor.untyped_storage().nbytes() for storage, tensor in saved.items() if storage not in left_out)


class Casts(TorchDispatchMode):
    """Notices which tensors are casts of others while it is entered: autocast makes them of weights.

    Attributes:
        storages: of the casts. They are kept alive, so that no other tensor can be taken for one.
    """

    def __init__(self, originals: Iterable[int]) -> None:
        super().__init__()
        self._originals = set(originals)
        self._casts: list[Tensor] = []

    @property
    def storages(self) -> set[int]:
        return {_storage(cast) for cast in self._casts}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten._to_copy.default and _storage(args[0]) in self._originals:
            self._casts.append(result)
        return result


@contextmanager
def _without_trace(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Train mode inside; afterwards modes, buffers and random state are those of before."""
    modes = {part: part.training for part in module.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        module.train()
        try:
            yield
        finally:
            for part, mode in modes.items():
                part.training = mode
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _size(tensors: list[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
