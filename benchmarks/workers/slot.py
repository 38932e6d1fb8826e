"""Slots for workers: a slot starts, replaces and ends its worker; several take turns."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, get_args

import psutil

from benchmarks.records.schema import Status
from benchmarks.workers.client import OnEvent, Serving, WorkerDiedError
from benchmarks.workers.server import carry_out, workload

FREE_SHARE = 0.25
"""Share of the machine's memory that must stay free when a worker is parked: two and a half times the largest peak of
a committed run (2.3 of 23.5 GiB), so that none fails or swaps because of idle workers."""


class JobError(RuntimeError):
    """A required job failed; the message says why.

    Attributes:
        status: how it ended.
    """

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class Slot:
    """Context manager for a worker, started when needed and ended on exit.

    Args:
        new_worker: creates a worker.
        device: it computes on.
    """

    def __init__(self, new_worker: Callable[[], Serving], device: str = "cpu") -> None:
        self._new_worker, self._is_cuda = new_worker, device.startswith("cuda")
        self._worker: Serving | None = None
        self._why: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    @property
    def is_taken(self) -> bool:
        """Whether there is a worker."""
        return self._worker is not None

    def run(
        self, job: Mapping[str, Any], on_event: OnEvent = lambda event: None, *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Run a job; always returns a result.

        The worker is kept only if the next job can't suffer: after out of memory, memory may still be held; after a
        failure, a CUDA context may be broken; changed process state stays changed.

        Args:
            job: to run.
            on_event: called with each event before the result.
            timeout_s: time limit, including the start of a process.

        Returns:
            The answer with `status` and `error`; `import_s` as in `Worker`; `wall_s` in total; and `restarted`, why the
            previous job's worker is gone, if not because of its job.

        Raises:
            KeyboardInterrupt: the user or system requires an immediate stop.
        """
        if self._worker is not None and not self._worker.lives():
            self.clear("exited while idle")
        why, self._why = self._why, None
        worker = self._worker = self._worker or self._new_worker()
        started = time.perf_counter()
        try:
            result = worker.run(job, on_event, timeout_s=timeout_s)
        except WorkerDiedError as death:
            result = {"status": death.status, "error": str(death)}
            self.clear()
        if result.get("status") not in get_args(Status):
            result = {"status": "failed", "error": f"the worker returned no valid status: {result!s:.200}"}
        wall_s, status = time.perf_counter() - started, result["status"]
        if status == "oom" or (status == "failed" and self._is_cuda) or result.get("changed"):
            self.clear()
        return {**result, "import_s": worker.import_s, "wall_s": wall_s, "restarted": why}

    def need(
        self, job: Mapping[str, Any], on_event: OnEvent = lambda event: None, *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Like `run`, but raise JobError unless the job succeeds."""
        result = self.run(job, on_event, timeout_s=timeout_s)
        if result["status"] != "ok":
            raise JobError(result["error"], result["status"])
        return result

    def park(self) -> None:
        """Idle the worker with minimal memory; end it if too little is left."""
        if self._worker is None:
            return
        try:
            self._worker.park()
        except WorkerDiedError:
            self.clear("exited while idle")
        memory = psutil.virtual_memory()
        if memory.available < FREE_SHARE * memory.total:
            self.clear(
                f"was stopped because less than {FREE_SHARE:.0%} of the machine's memory was free for other runs"
            )

    def clear(self, why: str | None = None) -> None:
        """End any worker; `why` goes into the next result."""
        if self._worker is not None:
            self._worker.close()
            self._worker, self._why = None, why


class Slots:
    """Context manager for several slots whose workers take turns; the others are parked.

    Args:
        new_worker: creates a worker.
        device: they compute on.
    """

    def __init__(self, new_worker: Callable[[], Serving], device: str) -> None:
        self._new_worker, self._device = new_worker, device
        self._slots: dict[str, Slot] = {}
        self._all = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._all.close()

    def __getitem__(self, key: str) -> Slot:
        if key not in self._slots:
            self._slots[key] = self._all.enter_context(Slot(self._new_worker, self._device))
        return self._slots[key]

    def make_room(self) -> bool:
        """End all workers after out of memory; returns whether there were any."""
        taken = [slot for slot in self._slots.values() if slot.is_taken]
        for slot in taken:
            slot.clear("was stopped because another run ran out of memory")
        return bool(taken)


class InProcess:
    """Runs jobs in this process, within reach of a debugger and Ctrl-C.

    Args:
        workload: class as `MODULE:CLASS`.

    Attributes:
        import_s: seconds the last job waited for imports.
    """

    def __init__(self, workload: str) -> None:
        self.import_s: float | None = None
        self._name = workload
        self._workload: Any = None

    def run(self, job: Mapping[str, Any], on_event: OnEvent, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Run a job and return its result."""
        assert timeout_s is None, "no time limit in-process"
        self.import_s = 0.0
        if self._workload is None:
            started = time.perf_counter()
            self._workload = workload(self._name)
            self.import_s = time.perf_counter() - started

        def emit(event: dict[str, Any]) -> None:
            on_event({name: value for name, value in event.items() if name != "event"})

        result = carry_out(self._workload, dict(job), emit)
        del result["changed"]  # nothing else would change it back
        return json.loads(json.dumps(result))  # so that nothing depends on whether there was a pipe between

    def park(self) -> None:
        """Nothing: its memory is this process's."""

    def lives(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Release what its jobs shared."""
        self._workload = None
        gc.collect()
