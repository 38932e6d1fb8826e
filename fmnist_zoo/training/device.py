"""Which device to use, how to wait for it, and how to see how far it is without waiting."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import nn

from fmnist_zoo.recipe import Engine

TELL_S = 1.0
"""Seconds between two words about steps, at least."""


def resolve_device(name: str) -> torch.device:
    """The device of a name; `auto` is CUDA where there is one, else MPS, else the CPU.

    Raises:
        ValueError: the name is no device, or this machine lacks it.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device {name!r} is unknown; use auto, cpu, cuda, cuda:1 or mps") from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.type, False) or (device.index or 0) >= (
        torch.cuda.device_count() if device.type == "cuda" else 1
    ):
        raise ValueError(f"device {name!r} isn't there for this torch ({torch.__version__}); use --device cpu or auto")
    return device


def check_engine(engine: Engine, device: torch.device) -> None:
    """ValueError, naming what to use instead, where the device lacks the engine."""
    if engine == "graph" and device.type != "cuda":
        raise ValueError(
            f"engine graph captures CUDA graphs and needs an NVIDIA GPU, not {device}; use eager or compile"
        )


def synchronizer(device: torch.device) -> Callable[[], None]:
    """A function that waits until all work queued on the device is done."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None


def to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to a device; convolutional ones in channels-last order, which their kernels prefer."""
    model = model.to(device)
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model


class Mark(Protocol):
    """A place in the queue of a device, as a CUDA event is one."""

    def query(self) -> bool:
        """Whether the device has passed it."""
        ...

    def synchronize(self) -> None:
        """Wait until it has."""
        ...

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds from here to a later one; both have been passed."""
        ...


class HostMark:
    """Of a device that the host never runs ahead of: passed when it is made."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._made_at_s = clock()

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        return None

    def elapsed_time(self, end_event: HostMark) -> float:
        return 1000 * (end_event._made_at_s - self._made_at_s)


def cuda_mark() -> torch.cuda.Event:
    """A mark at the end of what is queued now."""
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


class StepWatch:
    """Tells at most once a second how many steps of an epoch a device has done. Costs it nothing: nobody waits for it.

    A CUDA device is behind the host, so marks go into its queue, and what counts is the last one that it has passed, by
    its own clock. Elsewhere the host's clock and count are taken; on MPS, where it runs ahead, too.

    Args:
        device: that trains.
        tell: told the number of steps, and the seconds that they took.
        clock: the host's seconds, monotonic.
        mark: makes one.
    """

    def __init__(
        self,
        device: torch.device,
        tell: Callable[[int, float], None],
        *,
        clock: Callable[[], float] = time.perf_counter,
        mark: Callable[[], Mark] | None = None,
    ) -> None:
        self._tell, self._clock = tell, clock
        self._mark = mark or (cuda_mark if device.type == "cuda" else lambda: HostMark(clock))
        self._ahead: deque[tuple[int, Mark]] = deque()
        self._steps = 0
        self._start: Any = self._mark()
        self._due_s = clock() + TELL_S

    def step(self) -> None:
        """Another step is done or, on CUDA, queued."""
        self._steps += 1
        if self._clock() >= self._due_s:
            self.reached(self._steps)

    def reached(self, num_steps: int) -> None:
        """So many are."""
        self._steps = num_steps
        self._ahead.append((num_steps, self._mark()))
        if self._clock() >= self._due_s:
            self._tell_passed()

    def finish(self) -> None:
        """All of the epoch is queued: wait for it, as has to be done in any case, from mark to mark."""
        for _, mark in tuple(self._ahead):
            mark.synchronize()
            if self._clock() >= self._due_s:
                self._tell_passed()

    def _tell_passed(self) -> None:
        self._due_s = self._clock() + TELL_S
        passed: tuple[int, Mark] | None = None
        while self._ahead and self._ahead[0][1].query():
            passed = self._ahead.popleft()
        if passed is not None:
            self._tell(passed[0], self._start.elapsed_time(passed[1]) / 1000)
