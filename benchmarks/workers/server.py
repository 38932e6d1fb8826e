"""The worker's side of a worker process: its environment, its answers, and its end.

Jobs come as JSON lines on what standard input was at the start, answers go to what standard output was. Afterwards
whatever libraries print goes to standard error, and who asks for input gets none.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

Emit = Callable[[dict[str, Any]], None]

STACK_SIGNAL = signal.SIGUSR1
"""On it a worker prints where it is: the last that is heard of one that hangs."""
PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2): the signal that comes when the thread that started this process is gone."""


def environment(num_threads: int | None = None) -> dict[str, str]:
    """The variables with which a worker is started, on top of the runner's own; what is set already is kept.

    One thread for each physical core, unless another number is given.
    glibc by default gives large blocks back to the system and faults them in again at every step; keeping them
    trained the five families 1.05 to 2 times as fast on two cores of an EPYC. Huge pages spare address translation.
    """
    import psutil

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
    from the one that starts them, so it must be in force before torch first computes.
    """
    import torch

    before = bool(torch.tensor([1e-40]) * 1 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def serve() -> tuple[TextIO, Emit]:
    """Begin to serve: from now on this process has answers to give, and ends with the one that has started it.

    Returns the jobs, one a line, and the way to answer.
    """
    end_with_parent()
    return open_jobs(), open_answers()


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


def end_with_parent() -> None:
    """A worker whose runner was killed has nobody to answer to: end it and its children, even within an epoch.

    Where it is stopped, Linux lets it go on for that; elsewhere it ends as soon as somebody else does.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)
    threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    from benchmarks.workers.process_tree import MARK, end_marked

    if mark := os.environ.get(MARK):
        end_marked(mark)  # also what has a session of its own
    if os.getpgrp() == os.getpid():  # as the runner starts it; by hand it may share the group of a shell's pipeline
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
