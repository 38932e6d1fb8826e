"""Ending process trees: by hand, with their parent, or by the kernel for memory."""

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
"""Environment variable that marks everything a worker starts."""
VMSTAT = Path("/proc/vmstat")
PASSES = 5
"""Passes to find leftovers: processes forked during one are found by the next."""
PATIENCE_S = 10.0
"""Wait for a killed process to be gone; one blocked on a device may stay."""
PR_SET_PDEATHSIG = 1
"""Linux's prctl(2) option for the signal on the death of the thread that started this process."""


def end_tree(process: subprocess.Popen[bytes], mark: str) -> None:
    """Kill a session leader, its process group and all its descendants.

    Children with a session of their own are found by the mark in their inherited environment; those that cleared it
    escape.

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
    """Kill the processes with this mark, except the calling one."""
    for _ in range(PASSES):
        found = [process for process in marked(mark) if process.pid != os.getpid()]
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not found:
            break


def marked(mark: str) -> Iterator[psutil.Process]:
    """Running processes with this mark in their environment."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def oom_kills() -> int | None:
    """Number of out-of-memory kills since Linux booted; None if not counted."""
    with contextlib.suppress(OSError, ValueError):
        for line in VMSTAT.read_text(encoding="ascii").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def end_with_parent() -> None:
    """End this worker and its children, even within an epoch, if its runner is killed.

    Linux wakes a stopped worker for that; elsewhere it ends once it is continued.
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
