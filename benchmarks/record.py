"""One run, one JSON file: the record, its identity, and the folder that keeps records safe.

Nothing here imports torch, numpy or pandas at import time.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from benchmarks.fits import fields_mismatch
from benchmarks.schema import (
    BatchSweep,
    Compilation,
    Config,
    Cost,
    Dataset,
    Energy,
    Environment,
    Epoch,
    Execution,
    Flag,
    Latency,
    Ledger,
    Load,
    Memory,
    Metrics,
    Profile,
    Roofline,
    Status,
    StepShares,
    Throughput,
)
from benchmarks.versions import SCHEMA_VERSION, upgraded
from fmnist_zoo.files import write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RUN_ID = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\w{1,80}-[0-9a-f]{8}-s\d{1,10}", re.ASCII)
_CHECKSUM = re.compile(r"[0-9a-f]{6,128}", re.ASCII)
_STARTED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


@dataclass(kw_only=True, slots=True)
class RunRecord:
    """All that is known of one run. What could not be measured is None.

    Attributes:
        run_id: see `run_id`; also the name of the file.
        error: None where the status is ok, else the message and the last lines of the log.
        variant: the row's label in the sweep that made it.
        started_at: UTC, `2026-11-21T21:00:00Z`.
        load: by the part of the run that was timed: `train`, `throughput`.
        config_key: `config_key(config)`.
        code_checksum: of the model's and the training's program (`benchmarks.code`); None in records of before.
        reads as it is written: the rest has the names and units of `benchmarks.schema`.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str
    status: Status
    error: str | None
    model: str
    family: str
    variant: str
    seed: int
    num_params: int | None
    started_at: str
    command: str
    config: Config
    config_key: str
    dataset: Dataset | None
    environment: Environment
    execution: Execution | None
    num_steps: int | None
    num_epochs: int | None
    history: list[Epoch] = field(default_factory=list)
    ledger: Ledger
    metrics: Metrics | None
    throughput: Throughput | None
    latency: dict[str, Latency] | None
    memory: Memory | None
    roofline: Roofline | None = None
    compilation: Compilation | None = None
    cost: Cost | None = None
    step_shares: StepShares | None = None
    batch_sizes: BatchSweep | None = None
    load: dict[str, Load] | None = None
    energy: Energy | None = None
    flags: list[Flag] = field(default_factory=list)
    predictions: str | None = None
    weights: str | None = None
    profile: Profile | None = None
    code_checksum: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not a readable record, and why."""

    name: str
    reason: str


def config_key(config: Mapping[str, Any]) -> str:
    """The SHA-256 (hex) of a configuration's canonical JSON: two runs with the same key differ at most in their seed.

    Raises:
        ValueError: a key is not text, or a number is not finite.
        TypeError: a value has no JSON form.
    """
    text = json.dumps(plain(config, keep_non_finite=True), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def run_id(started_at: datetime, model: str, key: str, seed: int) -> str:
    """The name of a run: UTC start in milliseconds, model, first 8 digits of the configuration's key, seed.

    Names of runs with the same key and seed sort by their start.
    """
    assert started_at.tzinfo is not None, "started_at needs a time zone"
    start = started_at.astimezone(UTC)
    stamp = f"{start:%Y%m%dT%H%M%S}.{start.microsecond // 1000:03d}Z"
    name = f"{stamp}-{re.sub('[^0-9A-Za-z]', '_', model)[:80]}-{key[:8]}-s{seed}"
    assert _RUN_ID.fullmatch(name), name
    return name


class RecordStore:
    """The records of one machine: `<machine_dir>/runs/<run_id>.json`, predictions beside them.

    The labels that predictions are held against lie in the machine's folder, one file for each dataset.

    A file appears under its name only when it is whole and on the disk, so several processes may write at once.
    """

    def __init__(self, machine_dir: Path) -> None:
        self.machine_dir = machine_dir
        self.runs_dir = machine_dir / "runs"

    def write(self, record: RunRecord) -> Path:
        """Write a record, in place of one with the same run_id; numbers that aren't finite become null.

        Raises:
            ValueError: the record doesn't fit the schema, so that it couldn't be read again; the message says where.
        """
        content = plain(dataclasses.asdict(record))
        if fault := _fault(content):
            raise ValueError(f"record {record.run_id} does not fit schema version {SCHEMA_VERSION}: {fault}")
        lines = [f"{json.dumps(name)}: {json.dumps(content[name], sort_keys=True)}" for name in sorted(content)]
        path = self.runs_dir / f"{record.run_id}.json"
        write_atomically(path, ("{\n" + ",\n".join(lines) + "\n}\n").encode())
        return path

    def read_all(self) -> tuple[list[RunRecord], list[Problem]]:
        """Every record, oldest first, and every file that is none, with the reason; hidden files are passed over."""
        records: list[RunRecord] = []
        problems: list[Problem] = []
        for path in sorted(self.paths()):
            try:
                if path.suffix != ".safetensors":
                    records.append(_read(path))
            except (OSError, ValueError, RecursionError) as error:
                problems.append(Problem(path.name, str(error) or type(error).__name__))
        return records, problems

    def paths(self) -> list[Path]:
        """The visible files of the folder, in no order; none where there is no folder."""
        if not self.runs_dir.is_dir():
            return []
        return [path for path in self.runs_dir.iterdir() if not path.name.startswith(".")]

    def write_predictions(self, run_id: str, predicted: NDArray[np.uint8], confidence: NDArray[np.float16]) -> str:
        """Keep a run's predicted classes `(n,)` uint8 and their probabilities `(n,)` float16; the file's name.

        To be called before the record that names the file is written.
        """
        from safetensors.numpy import save

        assert predicted.dtype == "uint8" and confidence.dtype == "float16" and predicted.shape == confidence.shape
        path = self._predictions_path(run_id)
        write_atomically(path, save({"predicted": predicted, "confidence": confidence}))
        return path.name

    def read_predictions(self, run_id: str) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """The predicted classes `(n,)` uint8 and their probabilities `(n,)` float16 of a run.

        Raises:
            ValueError: the file is missing, damaged or holds something else.
        """
        path = self._predictions_path(run_id)
        tensors = _read_tensors(path, "predictions")
        found = {name: (str(array.dtype), array.ndim) for name, array in tensors.items()}
        if found != {"predicted": ("uint8", 1), "confidence": ("float16", 1)}:
            raise ValueError(f"predictions {path} hold {found}, not `predicted` (uint8) and `confidence` (float16)")
        return tensors["predicted"], tensors["confidence"]

    def labels_path(self, checksum: str) -> Path:
        """Where the test labels of a dataset are kept, by the checksum that its records have.

        Raises:
            ValueError: that is no checksum.
        """
        if not _CHECKSUM.fullmatch(checksum):
            raise ValueError(f"checksum {checksum!r:.60} is not one of a dataset: hexadecimal digits")
        return self.machine_dir / f"test-labels-{checksum[:16]}.safetensors"

    def write_labels(self, checksum: str, labels: NDArray[np.uint8]) -> None:
        """Keep a dataset's test labels `(n,)` uint8, so that predictions can be judged from this folder alone."""
        from safetensors.numpy import save

        assert labels.dtype == "uint8" and labels.ndim == 1
        write_atomically(self.labels_path(checksum), save({"labels": labels}))

    def read_labels(self, checksum: str) -> NDArray[np.uint8]:
        """The test labels `(n,)` of a dataset.

        Raises:
            ValueError: the file is missing, damaged or holds something else.
        """
        path = self.labels_path(checksum)
        tensors = _read_tensors(path, "labels")
        found = {name: (str(array.dtype), array.ndim) for name, array in tensors.items()}
        if found != {"labels": ("uint8", 1)}:
            raise ValueError(f"{path} holds {found}, not `labels` (uint8)")
        return tensors["labels"]

    def _predictions_path(self, run_id: str) -> Path:
        if not _RUN_ID.fullmatch(run_id):
            raise ValueError(f"run_id {run_id!r} is not of the form START-MODEL-KEY-sSEED")
        return self.runs_dir / f"{run_id}.safetensors"


def _read_tensors(path: Path, what: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{what} {path} can't be read: {error}") from error


def _read(path: Path) -> RunRecord:
    """One record; ValueError or OSError saying why the file is none."""
    if path.suffix != ".json" or not path.is_file():
        raise ValueError("not a record: only <run_id>.json and <run_id>.safetensors belong here")
    content = upgraded(read_json(path))
    if fault := _fault(content):
        raise ValueError(fault)
    if content["run_id"] != path.stem:
        raise ValueError(f"holds the run {content['run_id']}, of which it doesn't have the name")
    return RunRecord(**content)


def read_json(path: Path) -> Any:
    """What a file of JSON holds; ValueError where it holds none, or a number that JSON doesn't have."""
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except ValueError as error:  # also of bytes that aren't UTF-8
        raise ValueError(f"not JSON, or cut short: {error}") from error


def _fault(content: Any) -> str | None:
    """Why parsed JSON is not a record of this schema version; None where it is one."""
    if not isinstance(content, dict) or not isinstance(version := content.get("schema_version"), int):
        return "not a record: no schema_version"
    if version != SCHEMA_VERSION:
        age = "newer" if version > SCHEMA_VERSION else "other"
        return f"schema version {version} is {age} than this program's {SCHEMA_VERSION}"
    kinds = _record_types()
    if unknown := sorted(set(content) - set(kinds)):
        return f"unknown field {', '.join(unknown)}"
    return fields_mismatch(content, kinds, "record") or _inconsistency(content)


def _inconsistency(content: dict[str, Any]) -> str | None:
    """What a record whose types are right says wrongly of itself."""
    if not _RUN_ID.fullmatch(content["run_id"]):
        return f"run_id {content['run_id']!r:.120} is not of the form START-MODEL-KEY-sSEED"
    if not _STARTED_AT.fullmatch(content["started_at"]):
        return f"started_at {content['started_at']!r:.60} is not a UTC time such as 2026-11-21T21:00:00Z"
    if not isinstance(content["config"]["recipe"].get("budget"), str):
        return "config.recipe has no budget"
    if config_key(content["config"]) != content["config_key"]:
        return "config_key is not that of config: the configuration was changed afterwards"
    metrics = content["metrics"]
    if content["status"] == "ok" and metrics is None:
        return "status is ok, but there are no metrics"
    if metrics is not None:
        size, matrix = len(metrics["per_class"]), metrics["confusion_matrix"]
        if not size or [len(row) for row in matrix] != [size] * size:
            return f"metrics.confusion_matrix is not {size} x {size}, as per_class has it"
        if not sum(map(sum, matrix)) > 0 or not 0 <= metrics["test_top1_pct"] <= 100:
            return "metrics count no test image, or test_top1_pct is not between 0 and 100"
    return None


def plain(value: Any, *, keep_non_finite: bool = False) -> Any:
    """Mappings, tuples and numbers as what JSON has; numbers that aren't finite become None unless kept."""
    if isinstance(value, float) and not math.isfinite(value) and not keep_non_finite:
        return None
    if isinstance(value, Mapping):
        if bad := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"key {bad[0]!r} is not text")
        return {key: plain(item, keep_non_finite=keep_non_finite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, keep_non_finite=keep_non_finite) for item in value]
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


@functools.cache
def _record_types() -> dict[str, Any]:
    return get_type_hints(RunRecord)
