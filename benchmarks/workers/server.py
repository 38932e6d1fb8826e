"""The worker's side of a worker process: `python -m benchmarks.workers.server MODULE:CLASS [ARGUMENT...]`.

The class is instantiated, which imports what it needs, and called for each job. Jobs are JSON lines on the original
standard input, answers with the job's token to the original standard output. Everything libraries print goes to
standard error, and their input is empty.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TextIO

import psutil

from benchmarks.measure.memory import give_back, is_out_of_memory
from benchmarks.workers.process_tree import end_with_parent

Emit = Callable[[dict[str, Any]], None]

STACK_SIGNAL = signal.SIGUSR1
"""Signal for a worker to print its stack, used on one that hangs."""
PARK = {"park": True}
"""Job for a worker that takes turns with others: free memory before idling."""
KEPT_SHARE = 0.25
"""Share of the machine's memory. A worker that holds more after a job gets no further one: leaked memory would count
for the next run, and grow until the system kills something."""
ERROR_CHARACTERS = 4000
"""Longest error of a job; the middle of a longer one is left out."""


class _EndOfJobsError(BaseException):
    """No more jobs; no workload catches it."""


def environment(num_threads: int | None = None) -> dict[str, str]:
    """Environment of a worker, beside the runner's own, which takes precedence.

    One thread per physical core, unless another number is given. By default glibc returns large blocks to the system
    and faults them in again at every step; keeping them trained the five families 1.05 to 2 times as fast on two cores
    of an EPYC. Huge pages save address translation.
    """
    wanted = {
        "OMP_NUM_THREADS": str(num_threads or psutil.cpu_count(logical=False) or 1),
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
        "MALLOC_TOP_PAD_": str(2**26),
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**wanted, **os.environ}


@contextmanager
def training_arithmetic() -> Iterator[None]:
    """Arithmetic settings of every process that trains; restored afterwards.

    Denormal numbers are flushed to zero: they slow a CPU down and don't matter. Threads inherit that from the one that
    starts them, so it must be set before torch first computes. Also undoes a `tf32` step's setting for matrix products.
    """
    import torch

    before, products = bool(torch.tensor([1e-40]) * 1 == 0), torch.get_float32_matmul_precision()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
        torch.set_float32_matmul_precision(products)


class Server:
    """Answers jobs; call it with an event to send that before the answer."""

    def __init__(self) -> None:
        self._jobs, self._emit = open_jobs(), open_answers()
        self._stamp: dict[str, str] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        self._emit({**event, **self._stamp})

    def serve(self, workload: Any) -> None:
        """Run jobs until there are no more; a failed job doesn't end the process."""
        self({"event": "ready"})
        with contextlib.suppress(_EndOfJobsError):
            while True:
                self._done(_carried_out_or_parked(workload, self._next_job(), self))

    def pause(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the current job within the workload's own loop; returns the next one."""
        self._done({"status": "ok", "error": None, **result})
        return self._next_job()

    def _done(self, result: Mapping[str, Any]) -> None:
        self({"event": "done", **result})

    def _next_job(self) -> dict[str, Any]:
        if not (line := self._jobs.readline()):
            raise _EndOfJobsError
        request = json.loads(line)
        self._stamp = {"token": request["token"]}
        return request["job"]


def workload(name: str, *arguments: str) -> Any:
    """An instance of the class `MODULE:CLASS`."""
    module, _, of_class = name.partition(":")
    return getattr(importlib.import_module(module), of_class)(*arguments)


def carry_out(
    workload: Any,
    job: Any,
    emit: Emit,
    *,
    uncaught: tuple[type[BaseException], ...] = (KeyboardInterrupt,),
) -> dict[str, Any]:
    """Run a job; returns `status`, `error`, the workload's result, and the process state it `changed`.

    Args:
        workload: called with the job and `emit`. If that fails, its attribute `found`, if any, is the result.
        job: to run; `config.deterministic` requires deterministic algorithms.
        emit: sends events before the outcome.
        uncaught: exceptions passed on; all others become an outcome.
    """
    before = process_state()
    try:
        with _arithmetic_of(job):
            result = {"status": "ok", "error": None, **workload(job, emit)}
    except (_EndOfJobsError, *uncaught):
        raise
    except BaseException as error:  # noqa: BLE001  # a model may raise anything
        with contextlib.suppress(Exception):  # the model may have closed standard error
            traceback.print_exc()
        found = getattr(workload, "found", {})
        error = _readable(error)
        result = {"status": status_of(error), "error": f"{type(error).__name__}: {error}", **found}
    if isinstance(said := result.get("error"), str) and len(said) > ERROR_CHARACTERS:
        half = ERROR_CHARACTERS // 2
        result["error"] = f"{said[:half]} [...] {said[-half:]}"
    after = process_state()
    return {**result, "changed": [name for name in before if after[name] != before[name]]}


def _readable(error: BaseException) -> BaseException:
    """The exception, or one in its place if its message can't be read."""
    try:
        str(error)
    except BaseException:  # noqa: BLE001  # a model's own exception may raise anything here
        return RuntimeError(f"{type(error).__name__}, whose message can't be read")
    return error


def _carried_out_or_parked(workload: Any, job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    if job != PARK:
        return carry_out(workload, job, emit, uncaught=())
    give_back()
    return {"status": "ok", "error": None}


@contextmanager
def _arithmetic_of(job: Any) -> Iterator[None]:
    with ExitStack() as stack:
        if "torch" in sys.modules:  # JAX arms don't load it
            stack.enter_context(training_arithmetic())
            if job.get("config", {}).get("deterministic"):
                from fmnist_zoo.training.determinism import deterministic_algorithms

                stack.enter_context(deterministic_algorithms())
        yield


def status_of(error: BaseException) -> str:
    """`oom`, `diverged` or `failed`."""
    if "torch" not in sys.modules:
        return "oom" if isinstance(error, MemoryError) else "failed"
    from fmnist_zoo.training.fit import DivergedError

    if isinstance(error, DivergedError):
        return "diverged"
    return "oom" if is_out_of_memory(error) else "failed"


def process_state() -> dict[str, str]:
    """Process state that a job could leave to the next, by name; reading it has no side effects.

    Random generators are excluded: each run seeds its own.
    """
    looks: dict[str, Callable[[], Any]] = {
        "current folder": os.getcwd,
        "standard input": lambda: _file(0),
        "standard output": lambda: _file(1),
        "standard error": lambda: _file(2),
        "memory held": lambda: psutil.Process().memory_info().rss > KEPT_SHARE * psutil.virtual_memory().total,
    }
    if (torch := sys.modules.get("torch")) is not None:
        looks |= {
            "default dtype": torch.get_default_dtype,
            "default device": torch.get_default_device,
            "number of threads": torch.get_num_threads,
            "gradient mode": torch.is_grad_enabled,
            "deterministic mode": torch.are_deterministic_algorithms_enabled,
            "matmul precision": torch.get_float32_matmul_precision,
        }
    return {name: _seen(look) for name, look in looks.items()}


def _file(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _seen(look: Callable[[], Any]) -> str:
    try:
        return str(look())
    except Exception as error:  # noqa: BLE001  # as where a folder is gone or a file closed: that is what it looks like
        return repr(error)


def open_jobs() -> TextIO:
    """Reserve standard input for jobs, one JSON line each; it is empty for everything else.

    A model that calls `input()` or `breakpoint()` would otherwise wait for the next job: a deadlock.
    """
    jobs = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return jobs


def open_answers() -> Emit:
    """Reserve standard output for answers, one JSON line each; everything else goes to standard error.

    Crashes and `STACK_SIGNAL` print the stack there too.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not garble the answers
    faulthandler.enable(all_threads=False)
    faulthandler.register(STACK_SIGNAL, all_threads=False)
    owner = os.getpid()

    def emit(event: dict[str, Any]) -> None:
        if os.getpid() != owner:
            os._exit(1)  # a copy that a model has forked off, and that came back to our code, has nothing to answer
        answers.write(f"\n{json.dumps(event)}\n")  # on a line of its own, whatever else has been written here

    return emit


if __name__ == "__main__":
    end_with_parent()
    server = Server()
    server.serve(workload(*sys.argv[1:]))
