"""CUDA graphs: a function on the device is recorded once, kernels and all, and then replayed by a single launch.

On 28x28 images the kernels of a step are shorter than the time that Python and the driver take to launch them; a replay
launches all of them at once (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
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
"""Calls before the capture: compilers, cuDNN's choice of kernels and lazily made state must be done by then."""


class Replayable(Protocol):
    """What a capture gives."""

    def replay(self) -> None:
        """Do again what was captured, on the tensors of its capture."""


Capture = Callable[[Callable[[], None], torch.device], Replayable]
"""Captures a function of no arguments, after NUM_WARMUP_CALLS calls of it; a fake stands in where there is no GPU."""


class NotCapturableError(RuntimeError):
    """A function does what a CUDA graph can't hold: it waits for the device, or branches on its values."""


def capture_cuda(function: Callable[[], None], device: torch.device) -> torch.cuda.CUDAGraph:
    """Capture a function in a CUDA graph; it must read and write tensors that stay where they are.

    Raises:
        NotCapturableError: the function waits for the device or does something else that a graph can't hold.
    """
    graph = torch.cuda.CUDAGraph()
    current = torch.cuda.current_stream(device)
    stream = torch.cuda.Stream(device)  # the warm-up's must be the capture's
    stream.wait_stream(current)
    try:
        with _nothing_collected(), torch.cuda.stream(stream):
            for _ in range(NUM_WARMUP_CALLS - 1):
                function()
            with _waiting_forbidden():  # what capture would choke on halfway is found with a clean error
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
        torch.cuda.set_stream(current)  # some versions of torch leave a capture that broke off on its own stream
    return graph


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """No garbage collection inside: a graph or pinned block of an earlier step that is freed there ends a capture."""
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
    """An error for whatever makes the host wait for the device."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


class CapturedSteps:
    """Training steps by replay: one captured step finds its batch, learning rate and place for its logits by a counter.

    All of a chunk's batches and rates are put into fixed buffers at once, and then each step is a single launch.

    Args:
        update: one step on a batch: images, labels and a learning rate `()` in, logits out.
        batch_size: images a step.
        num_classes: logits of an image.
        device: of the buffers.
        capture: makes the graph.

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
        """Train on whole batches, at most a chunk; returns the logits of each image from before its update."""
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
        # The modulus keeps warm-up calls, which nobody resets the counter for, inside the buffers.
        index = (self._counter % self._capacity) * self._batch_size + self._positions
        lr = self._lrs.index_select(0, self._counter % self._capacity).squeeze(0)
        logits = self._update(self._images.index_select(0, index), self._labels.index_select(0, index), lr)
        self._logits.index_copy_(0, index, logits)
        self._counter.add_(1)


class CapturedForward:
    """A forward pass by replay, captured anew for each shape of its input.

    Args:
        forward: images in, logits out.
        capture: makes the graph.
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
            outputs[:] = [self._forward(buffer)]  # the last call's is the one that replays fill

        return buffer, outputs, self._capture(run, images.device)
