"""Peak memory of a process, by the operating system's count."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


def peak_resident_mib() -> float:
    """The largest resident set of this process so far, without that of its children.

    Linux counts `ru_maxrss` on from the process that started this one, hence its own count first.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def forget_peak() -> None:
    """Count the peak anew from here, where the system can (Linux; else it stays that of the whole process)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM
