"""The process that trains one model's trials, seen from the search."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from benchmarks.records.tuning import TrialResult
from benchmarks.tune.worker import TrialJob
from benchmarks.workers.client import Worker, WorkerDiedError

COMMAND = (sys.executable, "-m", "benchmarks.tune.worker")


class TrialProcess:
    """Trains trials in a process with the environment that measured runs have; a context, at whose end it is gone.

    A trial during which the process dies has failed, and the next one gets a new process.
    """

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._worker: Worker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, job: TrialJob) -> TrialResult:
        """Have a trial trained."""
        self._worker = self._worker or Worker(command=self._command)
        started = time.perf_counter()
        result: dict[str, Any] = dict.fromkeys(TrialResult.__annotations__)
        try:
            result |= self._worker.run(job, lambda event: None)
        except WorkerDiedError as death:
            result |= {"status": death.status, "error": str(death), "wall_s": time.perf_counter() - started}
            self._close()
        return result  # type: ignore[return-value]

    def _close(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
