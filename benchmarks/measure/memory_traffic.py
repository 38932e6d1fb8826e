"""Least memory traffic of a training step by kind, for its arithmetic intensity."""

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
    """Least bytes a step reads and writes, each tensor once per direction, by kind.

    Activations are measured: those an eager forward pass saves for its backward pass, in the step's precision. Known
    errors: caches may keep some of it between parts of the step, so that less reaches memory. Not counted: unsaved
    activations, gradients of activations, casts of weights within the passes, workspaces, repeated reads, and what the
    loss saves. A compiler may save less by recomputing activations; a captured step moves the same as an eager one.

    Random state, running statistics, modes and gradients are restored or untouched. It allocates memory, so measure
    peaks before.

    Args:
        step: after at least one step, so that the optimizer has its state.
        images: a batch of the recipe's size, on the device.
        labels: of it.
    """
    assert len(images) == len(labels) == step.recipe.batch_size, "step traffic is for a full batch"
    sizes = {**state_traffic(step), "input batch (uint8 pixels, int64 labels), read once": _size([images, labels])}
    return sizes | {"activations saved for the backward pass, written and read once": 2 * saved_bytes(step, images)}


def state_traffic(step: TrainingStep) -> dict[str, int]:
    """Bytes of weights, gradients and optimizer, independent of the batch."""
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
    """Bytes saved by a forward pass for its backward pass: each storage once, without weights and their casts."""
    weights = {_storage(tensor) for tensor in [*step.module.parameters(), *step.module.buffers()]}
    saved: dict[int, Tensor] = {}  # tensors, not sizes: a freed storage's address could be reused

    def pack(tensor: Tensor) -> Tensor:
        saved[_storage(tensor)] = tensor
        return tensor

    with _without_trace(step.module, step.device), Casts(weights) as casts:
        pixels = step.scale(images)
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            compute(step.module, pixels, step.precision)
    left_out = weights | casts.storages | {_storage(images)}  # the batch is counted separately
    return sum(tensor.untyped_storage().nbytes() for storage, tensor in saved.items() if storage not in left_out)


class Casts(TorchDispatchMode):
    """Context manager that detects casts of given tensors, such as autocast's of weights.

    Attributes:
        storages: of the casts, kept alive so that addresses are not reused.
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
    """Train mode inside; modes, buffers and random state are restored."""
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
