"""A ledger of where the time of a run goes: named sections that never overlap and so add up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext


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
