"""How a process ends: by hand with everything that it has started, with its parent, or by the kernel for its memory."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "FMNIST_ZOO_WORKER"
"""The environment variable by which all that a worker starts is found again."""
VMSTAT = Path("/proc/vmstat")
PASSES = 5
"""How often leftovers are looked for: what forks while it is being looked for is found by the next pass."""
PATIENCE_S = 10.0
"""For a killed process to be gone: one that waits for a device may not be, and nothing can be done about it."""
PR_SET_PDEATHSIG = 1
"""Of Linux's prctl(2): the signal that comes when the thread that started this process is gone."""


def end_tree(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill a process that leads a session, its group, and whatever else was started below it.

    A child that made itself a session of its own is known by its environment, which it has inherited. One that has
    cleared that as well gets away.

    Args:
        process: started with `start_new_session`.
        mark: value of the variable `MARK` in its environment.
    """
    process.kill()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    end_marked(mark)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE_S)


def end_marked(mark: str) -> None:
    """Kill the processes whose environment has this mark, but for the one that asks for it."""
    for _ in range(PASSES):
        found = [process for process in marked(mark) if process.pid != os.getpid()]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not found:
            break


def marked(mark: str) -> Iterator[psutil.Process]:
    """The living processes whose environment has this mark."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def oom_kills() -> int | None:
    """How many processes Linux has killed for want of memory since it started; None where nobody counts them."""
    with contextlib.suppress(OSError, ValueError):
        for line in VMSTAT.read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


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
    if mark := os.environ.get(MARK):
        end_marked(mark)  # also what has a session of its own
    if os.getpgrp() == os.getpid():  # as the runner starts it; by hand it may share the group of a shell's pipeline
        os.killpg(0, signal.SIGKILL)
    os._exit(1)
