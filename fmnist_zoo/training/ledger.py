"""Ledger of a run's time in named sections that add up, and a device's progress within an epoch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch

TELL_S = 1.0
"""Least seconds between two progress reports."""


class Ledger:
    """Seconds by named section; a nested section stops the outer one's clock, so no second counts twice.

    Args:
        clock: seconds, monotonic.
        synchronize: waits for the device; called at both ends of each section, so that it includes the work it queued.
        around: by section, context managers entered before and left after it; their own time is not counted.

    Attributes:
        seconds: by section.
        carried_s: seconds of all sections booked by an earlier process.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.perf_counter,
        synchronize: Callable[[], None] = lambda: None,
        around: Mapping[str, Callable[[], AbstractContextManager[object]]] | None = None,
    ) -> None:
        self.seconds: dict[str, float] = {}
        self.carried_s = 0.0
        self.synchronize = synchronize
        self._around = around or {}
        self._clock = clock
        self._open: list[str] = []
        self._since = clock()

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        """Add the time of the `with` block to section `name`."""
        with self._around.get(name, nullcontext)():
            self._book()
            self._open.append(name)
            try:
                yield
            finally:
                self._book()
                self._open.pop()

    def carry(self, seconds: Mapping[str, float]) -> None:
        """Start from the seconds booked by an earlier process for the same work."""
        for name, amount in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + amount
            self.carried_s += amount

    def _book(self) -> None:
        self.synchronize()
        now = self._clock()
        if self._open:
            name = self._open[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now


class Mark(Protocol):
    """A position in a device's queue, such as a CUDA event."""

    def query(self) -> bool:
        """Whether the device has reached it."""
        ...

    def synchronize(self) -> None:
        """Wait until the device has reached it."""
        ...

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds to a later mark, both reached."""
        ...


class HostMark:
    """A mark for a device that the host never runs ahead of: reached when created."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._made_at_s = clock()

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        return None

    def elapsed_time(self, end_event: HostMark) -> float:
        return 1000 * (end_event._made_at_s - self._made_at_s)


def cuda_mark() -> torch.cuda.Event:
    """A mark at the end of the current queue."""
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


class StepWatch:
    """Reports at most once a second how many steps of an epoch a device has done, without waiting for it.

    A CUDA device is behind the host, so marks go into its queue, and the last one reached counts, by its own clock.
    Elsewhere the host's clock and count are used, on MPS too, where the host runs ahead.

    Args:
        device: the training device.
        tell: called with the number of steps and the seconds they took.
        clock: the host's seconds, monotonic.
        mark: creates a mark.
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
        """Count a step done or, on CUDA, queued."""
        self._steps += 1
        if self._clock() >= self._due_s:
            self.reached(self._steps)

    def reached(self, num_steps: int) -> None:
        """Set the number of steps done or queued."""
        self._steps = num_steps
        self._ahead.append((num_steps, self._mark()))
        if self._clock() >= self._due_s:
            self._tell_passed()

    def finish(self) -> None:
        """Wait for the rest of the epoch, from mark to mark."""
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
