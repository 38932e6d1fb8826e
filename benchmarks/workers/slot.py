"""Places for workers: one starts a worker when it has something to do, and replaces or ends it; several take turns."""

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
"""Of the machine's memory, which must stay available when a worker is parked: two and a half times what the largest
committed run took at its peak (2.3 of 23.5 GiB), so that none fails or swaps for the sake of those that wait."""


class JobError(RuntimeError):
    """A job that had to succeed and didn't; the message says why.

    Attributes:
        status: how it ended.
    """

    def __init__(self, message: str, status: str) -> None:
        super().__init__(message)
        self.status = status


class Slot:
    """The place of a worker: there is one when something is asked for, and none is left at the end; a context.

    Args:
        new_worker: makes one.
        device: on which it computes.
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
        """Have a job done; whatever happens, there is a result.

        The worker is kept for the next one only where that can't suffer from this one: where memory ran out, what took
        it may still be held, after a failure a CUDA context may be broken for good, and what was left changed stays so.

        Args:
            job: what to do.
            on_event: told of everything that is answered before the result.
            timeout_s: seconds for all of it, starting a process included.

        Returns:
            What was answered, with its `status` and `error`; `import_s` as `Worker` has it; `wall_s`, all of it; and
            `restarted`, why the worker of the job before isn't there any more, where that is not the jobs' doing.

        Raises:
            KeyboardInterrupt: a person or the system wants an end at once.
        """
        if self._worker is not None and not self._worker.lives():
            self.clear("had ended while it waited")
        why, self._why = self._why, None
        worker = self._worker = self._worker or self._new_worker()
        started = time.perf_counter()
        try:
            result = worker.run(job, on_event, timeout_s=timeout_s)
        except WorkerDiedError as death:
            result = {"status": death.status, "error": str(death)}
            self.clear()
        if result.get("status") not in get_args(Status):
            result = {"status": "failed", "error": f"the worker's answer says no status: {result!s:.200}"}
        wall_s, status = time.perf_counter() - started, result["status"]
        if status == "oom" or (status == "failed" and self._is_cuda) or result.get("changed"):
            self.clear()
        return {**result, "import_s": worker.import_s, "wall_s": wall_s, "restarted": why}

    def need(
        self, job: Mapping[str, Any], on_event: OnEvent = lambda event: None, *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """Have a job done that must end well: `run`, with a JobError where it doesn't."""
        result = self.run(job, on_event, timeout_s=timeout_s)
        if result["status"] != "ok":
            raise JobError(result["error"], result["status"])
        return result

    def park(self) -> None:
        """Let the worker wait for its next job with as little as it can; it is ended where that leaves too little."""
        if self._worker is None:
            return
        try:
            self._worker.park()
        except WorkerDiedError:
            self.clear("had ended while it waited")
        memory = psutil.virtual_memory()
        if memory.available < FREE_SHARE * memory.total:
            self.clear(f"was ended, since it left less than {FREE_SHARE:.0%} of the machine's memory to other runs")

    def clear(self, why: str | None = None) -> None:
        """End the worker, if there is one; `why` goes into the next result."""
        if self._worker is not None:
            self._worker.close()
            self._worker, self._why = None, why


class Slots:
    """A slot for each of several things, whose workers take turns: the others are parked; a context.

    Args:
        new_worker: makes a worker.
        device: on which they compute.
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
        """End all workers, since memory ran out; whether there were any."""
        taken = [slot for slot in self._slots.values() if slot.is_taken]
        for slot in taken:
            slot.clear("was ended, since memory ran out in another run")
        return bool(taken)


class InProcess:
    """Carries out jobs in the process at hand, so that a debugger, and Ctrl-C, reach the job itself.

    Args:
        workload: the class that does it, as `MODULE:CLASS`.

    Attributes:
        import_s: seconds of the imports that the last job waited for.
    """

    def __init__(self, workload: str) -> None:
        self.import_s: float | None = None
        self._name = workload
        self._workload: Any = None

    def run(self, job: Mapping[str, Any], on_event: OnEvent, *, timeout_s: float | None = None) -> dict[str, Any]:
        """What a worker would answer."""
        assert timeout_s is None, "nothing could end it"
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
        """Nothing to do: its memory isn't its own."""

    def lives(self) -> bool:
        """It does."""
        return True

    def close(self) -> None:
        """Let go of what its jobs shared."""
        self._workload = None
        gc.collect()
