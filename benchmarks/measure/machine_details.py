"""Further details of a machine and its settings that may explain a figure; read once per sweep."""

from __future__ import annotations

import contextlib
import hmac
import math
import os
import platform
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import psutil

from benchmarks.measure import environment
from benchmarks.measure.environment import text_of
from benchmarks.measure.nvml import open_gpu
from benchmarks.records.machine import Machine, machine_folder
from benchmarks.records.schema import Details, Environment

ISA = (
    # x86
    "avx2", "fma", "avx_vnni", "avx512f", "avx512_bf16", "avx512_fp16", "avx512_vnni", "amx_tile", "amx_bf16",
    "amx_fp16", "amx_int8",
    # ARM
    "asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "svebf16", "sme",
)  # fmt: skip
"""Instruction sets that matter to matrix products, as Linux names them."""

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
MACHINE_ID = Path("/etc/machine-id")
CGROUPS, OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

READ_VARIABLES = re.compile(
    # OpenMP, of LLVM, Intel and GNU; the libraries of linear algebra
    r"(OMP|KMP|GOMP|MKL|OPENBLAS|VECLIB|DNNL|ONEDNN)_.*"
    r"|(CUDA|CUBLAS|CUBLASLT|CUDNN)_.*|NVIDIA_TF32_OVERRIDE"
    r"|(TORCH|PYTORCH_|TRITON_|ATEN_).*"
    # the allocators: glibc's, jemalloc, tcmalloc, and whatever is loaded in their place
    r"|(MALLOC|TCMALLOC)_.*|GLIBC_TUNABLES|LD_PRELOAD"
)
"""Environment variables read by torch and its libraries."""

_PRIVATE_NAME = re.compile(
    r"(^|_)(DIR|DIRS|DIRECTORY|PATH|PATHS|HOME|ROOT|FILE|FILENAME|PREFIX|URL|URI|HOST|USER|TOKEN|SECRET|PASSWORD|KEY)(_|$)"
)
_PLAIN_VALUE = re.compile(r"[\w.,:;=+%(){}\[\] -]{0,200}", re.ASCII)


def environment_of(device: str, *, num_threads: int | None, variables: Mapping[str, str]) -> Environment:
    """A record's environment: hardware, software and details; arguments as for `details`."""
    return {
        "hardware": environment.hardware(device),
        "software": environment.software(),
        "details": details(device, num_threads=num_threads, variables=variables),
    }


def results_folder(out_dir: Path, device: str) -> Path:
    """The folder of this machine's results for runs on `device`, which may be `auto`; see `machine_folder`."""
    from fmnist_zoo.training.device import resolve_device

    here = environment_of(str(resolve_device(device)), num_threads=None, variables={})
    return machine_folder(out_dir, Machine.of(here))


def details(device: str, *, num_threads: int | None, variables: Mapping[str, str], nvml: Any = None) -> Details:
    """Cores, instruction sets, caches, threads, variables and the GPU's limits, as a run on `device` has them.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`.
        num_threads: of torch; None if unset.
        variables: environment of the running process.
        nvml: replaces the module pynvml.
    """
    gpu = open_gpu(device, nvml=nvml)
    return {
        "host": host(),
        "cores_used": cores_used(),
        "isa": isa(),
        "l1d_cache_kib": cache_kib(1),
        "l2_cache_kib": cache_kib(2),
        "l3_cache_kib": cache_kib(3),
        "num_threads": num_threads,
        "variables": relevant(variables),
        "gpu_power_limit_w": None if gpu is None else gpu.power_limit_w(),
        "gpu_max_sm_clock_mhz": None if gpu is None else gpu.max_sm_clock_mhz(),
        "gpu_max_memory_clock_mhz": None if gpu is None else gpu.max_memory_clock_mhz(),
    }


def host() -> str | None:
    """Eight digits that tell this machine from equal ones, of its name and the number that its system was given.

    A record is for others to read, who can't find out the name from that: systemd asks for the number to be kept secret
    and to be used in this way (machine-id(5)). Where there is none, the network card's takes its place; None without.
    """
    card = uuid.getnode()
    secret = text_of(MACHINE_ID) or (None if card >> 40 & 1 else str(card))  # the bit says: drawn by chance, once
    return secret and hmac.new(secret.encode(), platform.node().encode(), "sha256").hexdigest()[:8]


def relevant(variables: Mapping[str, str]) -> dict[str, str]:
    """Of some variables those that `READ_VARIABLES` names, sorted.

    A record is for others to read: what may be a path, an address or a secret is only said to be `set`, and of
    LD_PRELOAD there are the names of the libraries.
    """
    return {name: _shown(name, value) for name, value in sorted(variables.items()) if READ_VARIABLES.fullmatch(name)}


def _shown(name: str, value: str) -> str:
    if name == "LD_PRELOAD":
        value = " ".join(PurePath(library).name for library in re.split(r"[\s:]+", value) if library)
    return value if _PLAIN_VALUE.fullmatch(value) and not _PRIVATE_NAME.search(name) else "set"


def isa() -> list[str]:
    """Instruction sets of `ISA` that the processor has, on Linux; empty elsewhere."""
    info = environment.cpu_info()
    found = info.get("flags", info.get("Features", "")).split()  # x86, ARM
    return [name for name in ISA if name in found]


def cache_kib(level: int) -> int | None:
    """Size of the first core's data cache of a level, on Linux; None elsewhere or if there is none."""
    for folder in sorted(CACHES.glob("index*")):
        if text_of(folder / "level") == str(level) and text_of(folder / "type") in {"Data", "Unified"}:
            size = re.fullmatch(r"(\d+)([KMG])", text_of(folder / "size") or "")
            return size and int(size[1]) * {"K": 1, "M": 2**10, "G": 2**20}[size[2]]
    return None


def cores_used() -> int | None:
    """Number of cores this process may use: its affinity, or less by its cgroup's quota."""
    cores, quota = usable_cores(), cgroup_quota()
    count = psutil.cpu_count(logical=True) if cores is None else len(cores)
    return count if count is None or quota is None else min(count, math.ceil(quota))


def usable_cores() -> set[int] | None:
    """Cores this process may run on; None if unknown.

    Over all its threads: OpenMP may bind each of them, including the first, to a single core.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None  # macOS
    found: set[int] = set()
    for thread in psutil.Process().threads():
        with contextlib.suppress(ProcessLookupError):  # a thread that has ended since
            found |= os.sched_getaffinity(thread.id)
    return found


def cgroup_quota() -> float | None:
    """CPU quota in cores: the least of this process's cgroups; None without any.

    Of version 2 (`cpu.max`) and version 1 (`cpu.cfs_quota_us`), see cgroups(7).
    """
    quotas: list[float] = []
    for line in (text_of(OWN_CGROUPS) or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            limits = (text_of(folder / "cpu.max") for folder in _upwards(CGROUPS, path))
        elif "cpu" in controllers.split(","):
            folders = _upwards(CGROUPS / "cpu", path)
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            limits = (" ".join(text_of(folder / name) or "" for name in names) for folder in folders)
        else:
            continue
        # "max 100000" and "-1 100000" are no limit
        found = (re.fullmatch(r"(\d+) (\d+)", limit or "") for limit in limits)
        quotas += [int(match[1]) / int(match[2]) for match in found if match]
    return min(quotas, default=None)


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """A cgroup's folder and its parents; in a container its path may be the host's and missing."""
    inside = PurePath(path.lstrip("/"))
    yield from (top / parent for parent in (inside, *inside.parents))
