"""CUDA graphs: record a function's kernels once, then replay them by a single launch.

On 28x28 images a step's kernels are shorter than the time Python and the driver take to launch them; a replay launches
all at once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fmnist_zoo.data.loader import steps_per_chunk

NUM_WARMUP_CALLS = 3
"""Calls before the capture, to finish compilation, cuDNN's choice of kernels and lazy initialization."""


class Replayable(Protocol):
    """A captured graph."""

    def replay(self) -> None:
        """Repeat the captured work on the captured tensors."""


Capture = Callable[[Callable[[], None], torch.device], Replayable]
"""Captures a function without arguments, after calling it NUM_WARMUP_CALLS times; tests without a GPU use a fake."""


class NotCapturableError(RuntimeError):
    """The function can't be captured: it waits for the device, or branches on its values."""


def capture_cuda(function: Callable[[], None], device: torch.device) -> torch.cuda.CUDAGraph:
    """Capture a function in a CUDA graph; its tensors must keep their addresses.

    Raises:
        NotCapturableError: the function waits for the device or does something else unsupported.
    """
    graph = torch.cuda.CUDAGraph()
    current = torch.cuda.current_stream(device)
    stream = torch.cuda.Stream(device)  # the warm-up's must be the capture's
    stream.wait_stream(current)
    try:
        with _nothing_collected(), torch.cuda.stream(stream):
            for _ in range(NUM_WARMUP_CALLS - 1):
                function()
            with _waiting_forbidden():  # find what would break the capture with a clean error first
                function()
            torch.cuda.synchronize(device)
            with torch.cuda.graph(graph, stream=stream):
                function()
        torch.cuda.synchronize(device)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise NotCapturableError(str(error).partition("\n")[0]) from error
    finally:
        torch.cuda.set_stream(current)  # some versions of torch stay on the capture's stream after a failure
    return graph


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """Disable garbage collection: freeing an earlier step's graph or pinned block would abort a capture."""
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _waiting_forbidden() -> Iterator[None]:
    """Make synchronizing operations raise an error."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


class CapturedSteps:
    """Training steps by replay: one captured step, with batch, learning rate and logits indexed by a counter.

    A chunk's batches and rates are copied into fixed buffers at once; then each step is a single launch.

    Args:
        update: one step on a batch: images, labels and a learning rate `()` in, logits out.
        batch_size: images per step.
        num_classes: logits per image.
        device: of the buffers.
        capture: creates the graph.

    Raises:
        NotCapturableError: the step can't be captured.
    """

    def __init__(
        self,
        update: Callable[[Tensor, Tensor, Tensor], Tensor],
        *,
        batch_size: int,
        num_classes: int,
        device: torch.device,
        capture: Capture = capture_cuda,
    ) -> None:
        self._update = update
        self._batch_size = batch_size
        self._capacity = steps_per_chunk(batch_size)
        size = self._capacity * batch_size
        self._images = torch.zeros(size, 1, 28, 28, dtype=torch.uint8, device=device)
        self._labels = torch.zeros(size, dtype=torch.int64, device=device)
        self._lrs = torch.zeros(self._capacity, device=device)
        self._logits = torch.zeros(size, num_classes, device=device)
        self._counter = torch.zeros(1, dtype=torch.int64, device=device)
        self._positions = torch.arange(batch_size, device=device)
        self._graph = capture(self._one, device)

    def __call__(
        self, images: UInt8[Tensor, "images 1 28 28"], labels: Int64[Tensor, " images"], lrs: Sequence[float]
    ) -> Float[Tensor, "images classes"]:
        """Train on full batches, at most a chunk; returns each image's logits from before its update."""
        count, rates = len(labels), torch.tensor(lrs)
        self._images[:count].copy_(images)
        self._labels[:count].copy_(labels)
        pinned = rates.pin_memory() if self._lrs.is_cuda else rates
        self._lrs[: len(lrs)].copy_(pinned, non_blocking=True)
        self._counter.zero_()
        for _ in lrs:
            self._graph.replay()
        return self._logits[:count].clone()

    def _one(self) -> None:
        # The modulus keeps warm-up calls, which don't reset the counter, inside the buffers.
        index = (self._counter % self._capacity) * self._batch_size + self._positions
        lr = self._lrs.index_select(0, self._counter % self._capacity).squeeze(0)
        logits = self._update(self._images.index_select(0, index), self._labels.index_select(0, index), lr)
        self._logits.index_copy_(0, index, logits)
        self._counter.add_(1)


class CapturedForward:
    """A forward pass by replay, captured once per input shape.

    Args:
        forward: images in, logits out.
        capture: creates the graph.
    """

    def __init__(self, forward: Callable[[Tensor], Tensor], capture: Capture = capture_cuda) -> None:
        self._forward, self._capture = forward, capture
        self._graphs: dict[torch.Size, tuple[Tensor, list[Tensor], Replayable]] = {}

    def __call__(self, images: UInt8[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch classes"]:
        """Logits `(batch, classes)`.

        Raises:
            NotCapturableError: the pass can't be captured.
        """
        if images.shape not in self._graphs:
            self._graphs[images.shape] = self._captured(images)
        buffer, outputs, graph = self._graphs[images.shape]
        buffer.copy_(images)
        graph.replay()
        return outputs[-1].clone()

    def _captured(self, images: Tensor) -> tuple[Tensor, list[Tensor], Replayable]:
        buffer, outputs = images.clone(), list[Tensor]()

        def run() -> None:
            outputs[:] = [self._forward(buffer)]  # replays write to the last call's output

        return buffer, outputs, self._capture(run, images.device)
