"""Machine identity, for filing, comparing and resuming results, and the folder of a machine."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import math
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from benchmarks.records.json_files import read_json
from benchmarks.records.schema import Environment
from fmnist_zoo.files import check_writable, write_atomically

FILE = "machine.json"
"""In a machine's folder: its owner, written before the first record."""
TELLING_ISA = ("amx_tile", "avx512_bf16", "avx512f", "avx2", "sme", "sve2", "sve", "asimd")
"""Recorded instruction sets, the most telling first."""


class _Located(TypedDict):
    environment: Environment


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Hardware that decides a machine's speed, as recorded; None is unknown, and equals only None.

    Fields have the names and units of `Hardware` and `Details` in `benchmarks.records.schema`.

    Attributes:
        cpu_model: marketing name, which several processors may share.
        isa: None in records older than this field.
        memory_gib: nearest power of two.
        gpu_name: None if none was used.
        gpu_memory_gib: rounded up: drivers reserve a varying part of it.
    """

    cpu_model: str
    cpu_vendor: str | None
    cpu_family: str | None
    cpu_model_id: str | None
    cpu_stepping: str | None
    microarchitecture: str | None
    isa: tuple[str, ...] | None
    l1d_cache_kib: int | None
    l2_cache_kib: int | None
    l3_cache_kib: int | None
    physical_cores: int | None
    logical_cores: int | None
    cores_used: int | None
    memory_gib: float | None
    gpu_name: str | None
    gpu_memory_gib: int | None
    gpu_power_limit_w: float | None

    @classmethod
    def of(cls, environment: Environment) -> Machine:
        """Machine of a record."""
        hardware, details = environment["hardware"], environment["details"]
        memory, gpu_memory = hardware["memory_gib"] or 0.0, hardware["gpu_memory_gib"]
        told: dict[str, Any] = {
            **dict.fromkeys(field.name for field in dataclasses.fields(cls)),
            **hardware,
            **(details or {}),
            "isa": None if details is None else tuple(details["isa"]),
            "memory_gib": 2.0 ** min(round(math.log2(memory)), 1023) if memory > 0 else None,
            "gpu_memory_gib": None if gpu_memory is None else math.ceil(gpu_memory),
        }
        return cls(**{field.name: told[field.name] for field in dataclasses.fields(cls)})

    @property
    def key(self) -> str:
        """SHA-256 (hex) of all fields."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def kind(self) -> str | None:
        """Microarchitecture, else the most telling instruction set; None if neither is known."""
        return self.microarchitecture or next((name for name in TELLING_ISA if name in (self.isa or ())), None)

    @property
    def num_cores(self) -> int | None:
        """Cores available to the process, else those of the machine."""
        return self.cores_used or self.physical_cores or self.logical_cores

    @property
    def title(self) -> str:
        """Short title: the GPU if one was used, else processor and cores."""
        if self.gpu_name:
            return self.gpu_name
        kind = f" ({self.kind})" if self.kind else ""
        cores = "" if self.num_cores is None else f", {self.num_cores} core{'s' * (self.num_cores != 1)}"
        unrecorded = ", instruction sets and caches not recorded" if self.isa is None else ""
        return f"{self.cpu_model}{kind}{cores}{unrecorded}"

    @property
    def names(self) -> tuple[str, ...]:
        """Folder names: `amd-epyc-zen3-2-cores`, and longer ones in case another machine has it.

        The last includes part of `key` and is unique.
        """
        if self.gpu_name:
            name = _slug(self.gpu_name) or "gpu"
            more = [f"{self.gpu_memory_gib}-gib"] * (self.gpu_memory_gib is not None)
            more += [f"{self.gpu_power_limit_w:.0f}-w"] if self.gpu_power_limit_w else []
        else:
            name = self._cpu_name
            more = [f"{self.l1d_cache_kib}-kib-l1"] * (self.l1d_cache_kib is not None)
        return tuple(dict.fromkeys([name, "-".join([name, *more]), f"{name}-{self.key[:8]}"]))

    @property
    def _cpu_name(self) -> str:
        # "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz": marks and clock add nothing to the model
        model = _slug(re.sub(r"\((r|tm|c)\)|@.*|\b(cpu|processor|\d+-core)\b", " ", self.cpu_model.lower())) or "cpu"
        kind = _slug(self.kind or "")
        parts = [model, *([kind] if kind and kind not in model.split("-") else [])]
        if self.num_cores is not None:
            parts.append(f"{self.num_cores}-core{'s' * (self.num_cores != 1)}")
        return "-".join([*parts, *(["unrecorded"] if self.isa is None else [])])


def of_any_host(environment: Environment) -> Environment:
    """The environment without the host: for keys that equal machines share."""
    details = environment["details"]
    return environment if details is None else {**environment, "details": {**details, "host": None}}


def machine_folder(out_dir: Path, machine: Machine) -> Path:
    """Folder of a machine's results, created if missing: a folder belongs to one machine for good.

    Args:
        out_dir: the results folder, `--out`.
        machine: its owner.

    Raises:
        ValueError: the folder isn't writable.
        WriteError: likewise.
    """
    check_writable(out_dir, "--out", out_dir)
    for folder in (out_dir / name for name in machine.names):
        if (owner := owner_of(folder)) is None:
            _claim(folder, machine)
            owner = owner_of(folder)
        if owner == machine:
            return folder
    raise ValueError(f"--out {out_dir}: {folder} holds nothing that says which machine it is of; move it away")


def owner_of(folder: Path) -> Machine | None:
    """Owner of a folder, from `machine.json`, else from its first record; None if neither is readable."""
    with contextlib.suppress(OSError, ValueError):
        return read_json(folder / FILE, Machine)
    records = (sorted(folder.glob(pattern)) for pattern in ("runs/*.json", "arms/*.json", "selfcheck.json"))
    for path in itertools.chain.from_iterable(records):
        with contextlib.suppress(OSError, ValueError):
            return Machine.of(read_json(path, _Located)["environment"])
    return None


def _claim(folder: Path, machine: Machine) -> None:
    """Create a folder with its owner; keep one just made by another process or not empty."""
    temporary = folder.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        write_atomically(temporary / FILE, (json.dumps(dataclasses.asdict(machine), indent=1) + "\n").encode())
        temporary.rename(folder)  # atomic, and never replaces a non-empty one
    except OSError:
        if not folder.exists():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
