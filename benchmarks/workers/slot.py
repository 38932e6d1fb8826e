"""Where a worker is kept between two jobs, for as long as that is sound."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import psutil

from benchmarks.workers.client import Serving

KEPT_SHARE = 0.25
"""Of the machine's memory. A worker that holds more between two seeds gets no further one: what a seed has leaked would
be counted as the next one's, and grow until the system kills something."""


class Seat:
    """The place of a variant's worker: there is one when it is asked for, and none is left at the end; a context.

    Args:
        new_worker: makes one.
        device: on which it trains.
    """

    def __init__(self, new_worker: Callable[[], Serving], device: str) -> None:
        self._new_worker, self._is_cuda = new_worker, device.startswith("cuda")
        self._worker: Serving | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    @property
    def worker(self) -> Serving:
        """The worker at hand, or a new one."""
        self._worker = self._worker or self._new_worker()
        return self._worker

    def after(self, status: str) -> None:
        """Keep the worker for the next seed only where that can't suffer from this one.

        Args:
            status: of the run that it did last. Where memory ran out, what took it may still be held, and after a
                failure a CUDA context may be broken for good. A run that has diverged, or on a CPU raised an error, has
                done nothing to its process.
        """
        held_mib = None if self._worker is None else self._worker.resident_mib()
        grown = held_mib is not None and held_mib > KEPT_SHARE * psutil.virtual_memory().total / 2**20
        if status == "oom" or (status == "failed" and self._is_cuda) or grown:
            self.clear()

    def clear(self) -> None:
        """End the worker, if there is one."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
