"""Hardware and software of a run: results are filed by hardware, a table holds one set of software versions."""

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
"""Sources that affect a run, relative to the top folder of the source tree."""

CPU_INFO = Path("/proc/cpuinfo")
CONCEALED = frozenset({
    "avx512_vp2intersect", "cldemote", "flush_l1d", "movdir64b", "movdiri", "pku", "serialize", "tsc_adjust", "waitpkg",
})  # fmt: skip
"""Instructions that hypervisors hide and nothing here uses: lacking them doesn't make a processor an older one."""
_TOP = Path(__file__).resolve().parents[2]


def hardware(device: str) -> Hardware:
    """Hardware of a run on `device`; the GPU is included only if used.

    Args:
        device: `cpu`, `cuda`, `cuda:1` or `mps`.

    Cores are the machine's; None if unknown.
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
        # Apple's GPU is part of the processor, with its name and memory.
        found["gpu_name"] = f"{found['cpu_model']} GPU"
        found["gpu_count"] = 1
    return found


def software() -> Software:
    """Versions of a run's dependencies; None for missing ones, and for git outside a checkout."""
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
    """Linux's information on the processor (the first core's if they differ); empty elsewhere."""
    pairs = (line.partition(":") for line in reversed((text_of(CPU_INFO) or "").splitlines()))
    return {name.strip(): value.strip() for name, _, value in pairs}


def vendor_and_microarchitecture() -> tuple[str | None, str | None]:
    """Vendor, such as `AuthenticAMD` or `ARM`, and the newest microarchitecture the processor can be.

    By archspec, from the instructions each has; `CONCEALED` ones may be missing. None if unknown to the system, or if
    archspec has none with the processor's generic level (such as `x86_64_v4`).
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
    """Contents of a file in /proc or /sys; None if missing or unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _arm_stepping(info: dict[str, str]) -> str | None:
    """`r3p1`, as in lscpu: variant (hexadecimal) and revision."""
    variant, revision = info.get("CPU variant"), info.get("CPU revision")
    return f"r{variant.removeprefix('0x')}p{revision}" if variant and revision else None


def git_state(top: Path) -> tuple[str | None, bool | None]:
    """Commit of a source tree and whether sources differ from it; None twice outside a git checkout.

    Results are not sources: a sweep that writes them doesn't make the tree dirty for its later runs.
    """
    # A package installed inside another checkout is not part of it: git must track this very file.
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
    """Output of a command; None if it is missing, fails, hangs, or (unless kept) prints nothing."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = result.stdout.strip()
    return text if result.returncode == 0 and (text or keep_empty) else None


def _gib(num_bytes: int) -> float:
    return round(num_bytes / 2**30, 1)
