"""Peak memory of a run: what torch allocated on a CUDA device, else the resident set of the run's own process."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.records.schema import Memory

if TYPE_CHECKING:
    import torch


def memory(device: torch.device, *, baseline_mib: float | None = None) -> Memory:
    """Peak memory since `reset_peak_memory`.

    Args:
        device: of the run.
        baseline_mib: memory in use before the model was built, from `in_use_mib`.
    """
    if device.type == "cuda":
        import torch  # only here: what compares frameworks measures processes without it

        return {
            "peak_mem_mib": torch.cuda.max_memory_allocated(device) / 2**20,
            "baseline_mem_mib": baseline_mib,
            "peak_reserved_mib": torch.cuda.max_memory_reserved(device) / 2**20,
            "kind": "allocated on the GPU by torch",
        }
    return {
        "peak_mem_mib": peak_resident_mib(),
        "baseline_mem_mib": baseline_mib,
        "peak_reserved_mib": None,
        "kind": "resident set of the worker process",
    }


OOM_WORDS = ("can't allocate memory", "bad_alloc", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""As torch's CPU allocator, C++, CUDA with torch's compiler and MPS, and cuBLAS say it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means out of memory: allocators and CUDA's libraries raise plain RuntimeErrors."""
    import torch

    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in str(error) for words in OOM_WORDS)


def in_use_mib(device: torch.device) -> float:
    """Memory in use now: allocated on a CUDA device, else resident."""
    if device.type == "cuda":
        import torch

        return torch.cuda.memory_allocated(device) / 2**20
    return psutil.Process().memory_info().rss / 2**20


def reset_peak_memory(device: torch.device) -> None:
    """Restart peak-memory tracking, without a probe's or earlier seed's peak."""
    give_back()
    reset_peak_resident()
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)


def give_back() -> None:
    """Return free memory to the system, if the C library can (glibc), and to the GPU.

    Workers otherwise keep it (`workers.server.environment`), and later work would seem to need it.
    """
    gc.collect()  # captured steps are in reference cycles
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def peak_resident_mib() -> float:
    """Peak resident set of this process, without its children.

    Linux counts `ru_maxrss` on from the process that started this one, hence its own count first.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def reset_peak_resident() -> None:
    """Reset the peak resident set if the system can (Linux; else it stays the process's overall peak)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): resets VmHWM
