"""Where a run takes place: the hardware, by which results are filed, and the software, whose changes are compared."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import warnings
from pathlib import Path

import psutil

from benchmarks.measure.nvml import driver_version
from benchmarks.records.schema import Hardware, Software

SOURCE_PATHS = ("fmnist_zoo", "benchmarks", "pyproject.toml")
"""What decides how a run goes, relative to the top folder of the source tree."""

CPU_INFO = Path("/proc/cpuinfo")
CONCEALED = frozenset({
    "avx512_vp2intersect", "cldemote", "flush_l1d", "movdir64b", "movdiri", "pku", "serialize", "tsc_adjust", "waitpkg",
})  # fmt: skip
"""What hypervisors keep from virtual machines and nothing here computes with; for want of it alone a processor isn't an
older one."""
_TOP = Path(__file__).resolve().parents[2]


def hardware(device: str) -> Hardware:
    """The machine as a run on `device` sees it: the GPU is named only where the run uses one.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`.

    Cores are those of the machine; None where the system doesn't say.
    """
    info = cpu_info()
    vendor, microarchitecture = vendor_and_microarchitecture()
    found: Hardware = {
        "cpu_model": cpu_model(),
        "cpu_vendor": vendor,
        "cpu_family": info.get("cpu family") or info.get("CPU architecture"),
        "cpu_model_id": info.get("model") or info.get("CPU part"),
        "cpu_stepping": info.get("stepping") or _arm_stepping(info),
        "microarchitecture": microarchitecture,
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


def cpu_model() -> str:
    """The processor's marketing name, else its architecture."""
    if name := cpu_info().get("model name"):
        return name
    if platform.system() == "Darwin" and (brand := _output("sysctl", "-n", "machdep.cpu.brand_string")):
        return brand
    return platform.processor() or platform.machine()


def cpu_info() -> dict[str, str]:
    """What Linux says of the processor, and where cores differ of the first; nothing elsewhere."""
    pairs = (line.partition(":") for line in reversed((text_of(CPU_INFO) or "").splitlines()))
    return {name.strip(): value.strip() for name, _, value in pairs}


def vendor_and_microarchitecture() -> tuple[str | None, str | None]:
    """Vendor, such as `AuthenticAMD` or `ARM`, and the newest microarchitecture that the processor can be.

    By archspec, which knows the instructions that each has; those that are `CONCEALED` need not be there. None where
    the system doesn't say it, or archspec knows none with the generic level (such as `x86_64_v4`) of the processor.
    """
    from archspec.cpu import detect

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what the system doesn't say
        found = detect.detected_info()
    found.features = found.features | CONCEALED
    fitting = detect.compatible_microarchitectures(found)
    fitting.sort(key=lambda one: (len(one.ancestors), len(one.features)))
    level = [one for one in fitting if one.vendor == "generic"][-1:]
    known = [one for one in fitting if one.vendor == found.vendor != "generic" and set(level) <= set(one.ancestors)]
    named = [one for one in known if found.cpu_part and one.cpu_part == found.cpu_part] or known
    return found.vendor if found.vendor not in ("", "generic") else None, named[-1].name if named else None


def text_of(path: Path) -> str | None:
    """What a file of /proc or /sys says; None where it isn't there, or isn't for this process to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _arm_stepping(info: dict[str, str]) -> str | None:
    """As lscpu has it, `r3p1`: variant, which is hexadecimal, and revision."""
    variant, revision = info.get("CPU variant"), info.get("CPU revision")
    return f"r{variant.removeprefix('0x')}p{revision}" if variant and revision else None


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


def _gib(num_bytes: int) -> float:
    return round(num_bytes / 2**30, 1)
