"""The worker's side of a worker process: `python -m benchmarks.workers.server MODULE:CLASS [ARGUMENT...]`.

The class is made, which imports what it needs, and called for each job. Jobs come as JSON lines on what standard input
was at the start, answers go to what standard output was. Afterwards whatever libraries print goes to standard error,
and who asks for input gets none.
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
"""On it a worker prints where it is: the last that is heard of one that hangs."""
PARK = {"park": True}
"""The job of a worker that others take turns with: to give back what it can before it waits for its next one."""
KEPT_SHARE = 0.25
"""Of the machine's memory. A worker that holds more after a job gets no further one: what a run has leaked would be
counted as the next one's, and grow until the system kills something."""


class _EndOfJobsError(BaseException):
    """Nobody asks for anything any more; no workload catches it."""


def environment(num_threads: int | None = None) -> dict[str, str]:
    """The variables with which a worker is started, on top of the runner's own; what is set already is kept.

    One thread for each physical core, unless another number is given.
    glibc by default gives large blocks back to the system and faults them in again at every step; keeping them
    trained the five families 1.05 to 2 times as fast on two cores of an EPYC. Huge pages spare address translation.
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
    """Compute as every process that trains does, runs, trials and comparisons alike; afterwards as before.

    Denormal numbers are taken for zero: they slow a CPU down and change no result that matters. Threads inherit that
    from the one that starts them, so it must be in force before torch first computes. A step in `tf32` leaves matrix
    products rounded to it, which is undone here, too.
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
    """Answers jobs; called with an event, it sends that before the answer."""

    def __init__(self) -> None:
        self._jobs, self._emit = open_jobs(), open_answers()

    def __call__(self, event: dict[str, Any]) -> None:
        self._emit(event)

    def serve(self, workload: Any) -> None:
        """Have jobs carried out until there are no more. A job that fails never ends the process by itself."""
        self({"event": "ready"})
        with contextlib.suppress(_EndOfJobsError):
            while True:
                self._done(_carried_out_or_parked(workload, self._next_job(), self))

    def pause(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the job at hand in the middle of the workload's own loop; returns the next one."""
        self._done({"status": "ok", "error": None, **result})
        return self._next_job()

    def _done(self, result: Mapping[str, Any]) -> None:
        self({"event": "done", **result})

    def _next_job(self) -> dict[str, Any]:
        if not (line := self._jobs.readline()):
            raise _EndOfJobsError
        return json.loads(line)


def workload(name: str, *arguments: str) -> Any:
    """An instance of a class that is named as `MODULE:CLASS`."""
    module, _, of_class = name.partition(":")
    return getattr(importlib.import_module(module), of_class)(*arguments)


def carry_out(
    workload: Any,
    job: Any,
    emit: Emit,
    *,
    caught: tuple[type[BaseException], ...] = (Exception, SystemExit),
) -> dict[str, Any]:
    """A job's outcome: `status` and `error`, what the workload gave, and what of the process it left `changed`.

    Args:
        workload: called with the job and `emit`. Where that fails, all that is left is its attribute `found`, if any.
        job: what to do. `config.deterministic` asks for deterministic algorithms alone.
        emit: for what is to be told before the outcome.
        caught: what becomes an outcome, whatever a model does wrong.
    """
    before = process_state()
    try:
        with _arithmetic_of(job):
            result = {"status": "ok", "error": None, **workload(job, emit)}
    except _EndOfJobsError:
        raise
    except caught as error:
        with contextlib.suppress(Exception):  # standard error may be what the model has closed
            traceback.print_exc()
        found = getattr(workload, "found", {})
        result = {"status": status_of(error), "error": f"{type(error).__name__}: {error}", **found}
    after = process_state()
    return {**result, "changed": [name for name in before if after[name] != before[name]]}


def _carried_out_or_parked(workload: Any, job: dict[str, Any], emit: Emit) -> dict[str, Any]:
    if job != PARK:
        return carry_out(workload, job, emit, caught=(BaseException,))
    give_back()
    return {"status": "ok", "error": None}


@contextmanager
def _arithmetic_of(job: Any) -> Iterator[None]:
    with ExitStack() as stack:
        if "torch" in sys.modules:  # JAX is compared without it
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
    """What a job could leave to the next one in this process, by its name. Looking changes nothing, nor draws numbers.

    States of random generators aren't compared: each run seeds its own.
    """
    looks: dict[str, Callable[[], Any]] = {
        "the current folder": os.getcwd,
        "standard input": lambda: _file(0),
        "standard output": lambda: _file(1),
        "standard error": lambda: _file(2),
        "how much memory it holds": lambda: (
            psutil.Process().memory_info().rss > KEPT_SHARE * psutil.virtual_memory().total
        ),
    }
    if (torch := sys.modules.get("torch")) is not None:
        looks |= {
            "the default number format": torch.get_default_dtype,
            "the default device": torch.get_default_device,
            "the number of threads": torch.get_num_threads,
            "whether gradients are computed": torch.is_grad_enabled,
            "whether only deterministic algorithms are used": torch.are_deterministic_algorithms_enabled,
            "the precision of matrix products": torch.get_float32_matmul_precision,
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
    """Take standard input for jobs, one JSON line each; for everybody else it is at its end from now on.

    A model that calls `input()` or `breakpoint()` would otherwise wait for the next job, which waits for the model.
    """
    jobs = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return jobs


def open_answers() -> Emit:
    """Take standard output for answers, one JSON line each; what else is printed goes to standard error from now on.

    There a crash, and `STACK_SIGNAL`, also leave where the program was.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not garble the answers
    faulthandler.enable(all_threads=False)
    faulthandler.register(STACK_SIGNAL, all_threads=False)
    owner = os.getpid()

    def emit(event: dict[str, Any]) -> None:
        if os.getpid() != owner:
            os._exit(1)  # a copy that a model has forked off, and that came back to our code, has nothing to answer
        answers.write(json.dumps(event) + "\n")

    return emit


if __name__ == "__main__":
    end_with_parent()
    server = Server()
    server.serve(workload(*sys.argv[1:]))
