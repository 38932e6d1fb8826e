"""A ledger of where the time of a run goes, in named sections that add up; and how far a device is within an epoch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch

TELL_S = 1.0
"""Seconds between two words about steps, at least."""


class Ledger:
    """Seconds by named section; a section inside another stops the outer one's clock, so no second is counted twice.

    Args:
        clock: seconds, monotonic.
        synchronize: waits for the device; called at both ends of each section, so that a section holds the work it
            queued.
        around: by section, what is entered before it and left after it, for who watches it; what that takes itself
            isn't the section's.

    Attributes:
        seconds: by section.
        carried_s: how many of them, in all sections, were booked by an earlier process.
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
        """Count the time of the `with` block under `name`, added to what is there."""
        with self._around.get(name, nullcontext)():
            self._book()
            self._open.append(name)
            try:
                yield
            finally:
                self._book()
                self._open.pop()

    def carry(self, seconds: Mapping[str, float]) -> None:
        """Go on from what an earlier process booked for the same work."""
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
