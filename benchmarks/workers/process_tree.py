"""How a process ends: by hand, with everything that it has started, or by the kernel when memory runs out."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
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
