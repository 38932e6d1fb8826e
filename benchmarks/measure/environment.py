"""Where a run takes place: the hardware, by which results are filed, and the software, whose changes are compared."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from pathlib import Path

import psutil

from benchmarks.measure.nvml import driver_version
from benchmarks.records.schema import Hardware, Software

SOURCE_PATHS = ("fmnist_zoo", "benchmarks", "pyproject.toml")
"""What decides how a run goes, relative to the top folder of the source tree."""

CPU_INFO = Path("/proc/cpuinfo")
_TOP = Path(__file__).resolve().parents[2]


def hardware(device: str) -> Hardware:
    """The machine as a run on `device` sees it: the GPU is named only where the run uses one.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`.

    Cores are those of the machine; None where the system doesn't say.
    """
    found: Hardware = {
        "cpu_model": cpu_model(),
        "physical_cores": psutil.cpu_count(logical=False),
        "logical_cores": psutil.cpu_count(logical=True),
        "memory_gib": _gib(psutil.virtual_memory().total),
        "gpu_name": None,
        "gpu_memory_gib": None,
        "gpu_count": 0,
    }
    if device.startswith("cuda"):
        import torch

        properties = torch.cuda.get_device_properties(device)
        found["gpu_name"] = properties.name
        found["gpu_memory_gib"] = _gib(properties.total_memory)
        found["gpu_count"] = torch.cuda.device_count()
    elif device.startswith("mps"):
        # Apple's GPU is part of the processor, has its name, and shares its memory.
        found["gpu_name"] = f"{found['cpu_model']} GPU"
        found["gpu_count"] = 1
    return found


def software() -> Software:
    """Versions of what a run depends on; None for what is not installed, and for git where there is no checkout."""
    import torch

    cudnn = torch.backends.cudnn.version() if torch.version.cuda else None
    commit, dirty = git_state(_TOP)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": _version("torchvision"),
        "timm": _version("timm"),
        "fmnist_zoo": _version("fmnist-zoo"),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "gpu_driver": driver_version(),
        "os": platform.platform(),
        "commit": commit,
        "dirty": dirty,
    }


def this_machine(device: str) -> str:
    """The name of this machine's results folder for runs on `device`, which may be `auto`."""
    from fmnist_zoo.training.device import resolve_device

    return machine_name(hardware(str(resolve_device(device))))


def machine_name(hardware: Hardware) -> str:
    """The name of a machine's results folder: `nvidia-h100-80gb-hbm3`, or `amd-epyc-2-cores` where no GPU was used."""
    if hardware["gpu_name"]:
        return _slug(hardware["gpu_name"]) or "gpu"
    # "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz": the marks and the clock say nothing that the model doesn't
    model = re.sub(r"\((r|tm|c)\)|@.*|\b(cpu|processor|\d+-core)\b", " ", hardware["cpu_model"].lower())
    cores = hardware["physical_cores"] or hardware["logical_cores"]
    count = "" if cores is None else f"-{cores}-core" + "s" * (cores != 1)
    return (_slug(model) or "cpu") + count


def cpu_model() -> str:
    """The processor's marketing name, else its architecture."""
    try:
        for line in CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass  # not Linux: ask the system in another way
    if platform.system() == "Darwin" and (brand := _output("sysctl", "-n", "machdep.cpu.brand_string")):
        return brand
    return platform.processor() or platform.machine()


def git_state(top: Path) -> tuple[str | None, bool | None]:
    """The commit of a source tree, and whether sources differ from it; None twice where it is not in a git checkout.

    Results are no sources: a sweep that writes them doesn't make the tree dirty for its own later runs.
    """
    # A package installed below some other checkout is not part of that: git must know this very file.
    if _output("git", "-C", str(top), "ls-files", "benchmarks/measure/environment.py") is None:
        return None, None
    commit = _output("git", "-C", str(top), "rev-parse", "HEAD")
    if commit is None:
        return None, None
    changes = _output("git", "-C", str(top), "status", "--porcelain", "--", *SOURCE_PATHS, keep_empty=True)
    return commit, None if changes is None else bool(changes)


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _output(*command: str, keep_empty: bool = False) -> str | None:
    """What a command prints; None where it is missing, fails, hangs, or (unless kept) prints nothing."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = result.stdout.strip()
    return text if result.returncode == 0 and (text or keep_empty) else None


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")


def _gib(num_bytes: int) -> float:
    return round(num_bytes / 2**30, 1)
