"""How far the runs of a sweep are kept apart from each other and from the sweep itself."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psutil

from benchmarks.records.schema import Flag
from benchmarks.sweep.config import OnOom
from benchmarks.workers.client import Serving

IN_PROCESS: Flag = {
    "kind": "in_process",
    "evidence": "It ran inside the process of the sweep, without the threads and the allocator that a worker is given.",
    "advice": "Measure again without --in-process before taking its speed and memory for the model's.",
}

KEPT_SHARE = 0.25
"""Of the machine's memory. A worker that holds more between two seeds gets no further one: what a seed has leaked would
be counted as the next one's, and grow until the system kills something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolation:
    """What runs may do to each other.

    Attributes:
        timeout_s: seconds for a run, the start of its process included; None for no limit.
        on_oom: what is done when memory runs out.
        in_process: no worker processes at all.

    Raises:
        ValueError: the time limit isn't one, or can't be held.
    """

    timeout_s: float | None = None
    on_oom: OnOom = "fail"
    in_process: bool = False

    def __post_init__(self) -> None:
        if self.timeout_s is None:
            return
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            raise ValueError(f"--timeout {self.timeout_s:g} must be a positive number of seconds")
        if self.in_process:
            raise ValueError(
                f"--timeout {self.timeout_s:g} doesn't go with --in-process, where nobody could end a run that hangs; "
                "leave one of them out"
            )


class InProcess:
    """Carries out jobs in the process at hand, so that a debugger, and Ctrl-C, reach the run itself.

    Attributes:
        import_s: seconds of the imports; None until the first job.
    """

    def __init__(self) -> None:
        self.import_s: float | None = None
        self._experiment: Any = None

    def run(
        self, job: Mapping[str, Any], on_event: Callable[[dict[str, Any]], None], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        """What a worker would answer."""
        assert timeout_s is None, "nothing could end it"
        from benchmarks.sweep.worker import carry_out

        if self._experiment is None:
            started = time.perf_counter()
            from benchmarks.sweep.training_run import TrainingRuns

            self._experiment = TrainingRuns()
            self.import_s = time.perf_counter() - started

        def emit(event: dict[str, Any]) -> None:
            on_event({name: value for name, value in event.items() if name != "event"})

        result = carry_out(self._experiment, dict(job), emit)  # type: ignore[arg-type]
        return json.loads(json.dumps(result))  # so that nothing depends on whether there was a pipe between

    def log_tail(self) -> str:
        """Nothing: what is printed is on the terminal."""
        return ""

    def resident_mib(self) -> float | None:
        """None: what is held isn't the run's alone."""
        return None

    def close(self) -> None:
        """Let go of what the seeds shared."""
        self._experiment = None
        gc.collect()


class Slot:
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
