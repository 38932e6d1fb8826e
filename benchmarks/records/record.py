"""The record of a run: its fields, identity and consistency checks.

`benchmarks.records.store` keeps records in a folder. Neither imports torch or numpy at import time.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.records.machine import Machine
from benchmarks.records.schema import (
    BatchSweep,
    Compilation,
    Config,
    Cost,
    Dataset,
    Energy,
    Environment,
    Execution,
    Flag,
    Int64,
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
from fmnist_zoo.history import EpochStats

SCHEMA_VERSION = 4
"""Changes when a field is renamed, removed or redefined; older and newer records are then refused."""
RUN_ID = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\w{1,80}-[0-9a-f]{8}-s\d{1,10}", re.ASCII)
"""Format of run names, which are safe as file names."""
ROUNDING_PCT = 0.1
"""Allowed difference of an accuracy from its counts, in points; a changed leading digit exceeds it."""
_STARTED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


@dataclass(kw_only=True, slots=True)
class RunRecord:
    """Record of one run. Missing measurements are None.

    A new quantity gets a field with default None: records without it are read with None.

    Attributes:
        run_id: see `run_id`; also the file name.
        error: None if the status is ok, else the message and last log lines.
        variant: row label in its own sweep.
        started_at: UTC, `2026-11-21T21:00:00Z`.
        load: by timed part of the run: `train`, `throughput`.
        config_key: `config_key(config)`.
        code_checksum: of the model and training code (`sweep.code_checksum`); None in older records.
        other fields: names and units as in `benchmarks.records.schema`.
    """

    schema_version: Int64 = SCHEMA_VERSION
    run_id: str
    status: Status
    error: str | None
    model: str
    family: str
    variant: str
    seed: Int64
    num_params: Int64 | None
    started_at: str
    command: str
    config: Config
    config_key: str
    dataset: Dataset | None
    environment: Environment
    execution: Execution | None
    num_steps: Int64 | None
    num_epochs: Int64 | None
    history: list[EpochStats] = field(default_factory=list)
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


def config_key(config: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a configuration's canonical JSON: runs with the same key differ only in seed.

    Raises:
        ValueError: a key is not text, or a number is not finite.
        TypeError: a value has no JSON form.
    """
    text = json.dumps(plain(config, keep_non_finite=True), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def run_id(started_at: datetime, model: str, key: str, seed: int) -> str:
    """Name of a run: UTC start in milliseconds, model, first 8 digits of the config key, seed.

    Runs with the same key and seed sort by start time.
    """
    assert started_at.tzinfo is not None, "started_at needs a time zone"
    start = started_at.astimezone(UTC)
    stamp = f"{start:%Y%m%dT%H%M%S}.{start.microsecond // 1000:03d}Z"
    name = f"{stamp}-{re.sub('[^0-9A-Za-z]', '_', model)[:80]}-{key[:8]}-s{seed}"
    assert RUN_ID.fullmatch(name), name
    return name


def plain(value: Any, *, keep_non_finite: bool = False) -> Any:
    """Convert mappings, tuples and numbers to JSON types; non-finite numbers become None unless kept.

    A lone surrogate, as in file names that aren't UTF-8, becomes a question mark.
    """
    if isinstance(value, float) and not math.isfinite(value) and not keep_non_finite:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        if bad := [key for key in value if not isinstance(key, str)]:
            raise ValueError(f"key {bad[0]!r} is not text")
        return {plain(key): plain(item, keep_non_finite=keep_non_finite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, keep_non_finite=keep_non_finite) for item in value]
    return value


def identity_fault(name: str, run_id: str, started_at: str, config: Config) -> str | None:
    """Fault in the identity, time or configuration of a record with this `name`."""
    if not RUN_ID.fullmatch(run_id):
        return f"{name} {run_id!r:.120} is not of the form START-MODEL-KEY-sSEED"
    if not _is_time(started_at):
        return f"started_at {started_at!r:.60} is not a UTC time such as 2026-11-21T21:00:00Z"
    if not isinstance(config["recipe"].get("budget"), str):
        return "config.recipe has no budget"
    return None


def record_fault(record: RunRecord) -> str | None:
    """Inconsistency in a record; None if it is valid."""
    if fault := identity_fault("run_id", record.run_id, record.started_at, record.config):
        return fault
    files = [record.predictions, record.weights]
    if record.profile is not None:
        files += [record.profile["page"], record.profile["trace"]]
    if outside := [name for name in files if name is not None and not _stays_inside(name)]:
        return f"{outside[0]!r:.120} is not the name of a file in the machine's folder"
    if config_key(record.config) != record.config_key:
        return "config_key is not that of config: the configuration was changed afterwards"
    metrics = record.metrics
    if record.status == "ok" and metrics is None:
        return "status is ok, but there are no metrics"
    if metrics is not None:
        size, matrix = len(metrics["per_class"]), metrics["confusion_matrix"]
        if not size or [len(row) for row in matrix] != [size] * size:
            return f"metrics.confusion_matrix is not {size} x {size}, as per_class has it"
        if not sum(map(sum, matrix)) > 0 or not 0 <= metrics["test_top1_pct"] <= 100:
            return "metrics count no test image, or test_top1_pct is not between 0 and 100"
        counted_pct = 100 * sum(matrix[index][index] for index in range(size)) / sum(map(sum, matrix))
        if abs(metrics["test_top1_pct"] - counted_pct) > ROUNDING_PCT:
            return f"test_top1_pct is {metrics['test_top1_pct']:g}, and the confusion matrix counts {counted_pct:g}"
    return None


def _is_time(text: str) -> bool:
    """Whether this is a valid UTC time in the format of records."""
    if not _STARTED_AT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _stays_inside(name: str) -> bool:
    """Whether a relative path stays inside its folder, on any system."""
    parts = name.split("/")
    return all(parts) and not {".", ".."} & set(parts) and not set("\\:\0") & set(name)


Parts = Mapping[str, str | int | None]
"""Parts of a run key, by name."""


def machine_parts(environment: Environment) -> dict[str, str | int | None]:
    """Machine and versions that a run depends on; those of the GPU only if it uses one."""
    software, details = environment["software"], environment["details"]
    on_gpu = environment["hardware"]["gpu_name"] is not None
    return {
        "torch": software["torch"],
        "Python": ".".join(software["python"].split(".")[:2]),
        "CUDA": software["cuda"] if on_gpu else None,
        "cuDNN": software["cudnn"] if on_gpu else None,
        "driver": software["gpu_driver"] if on_gpu else None,
        "machine": Machine.of(environment).key,
        "threads": None if details is None else details["num_threads"],
    }


def record_parts(record: RunRecord) -> Parts:
    """Run key of a recorded run: config, seed, code, data, versions and hardware."""
    return {
        "configuration": record.config_key,
        "seed": record.seed,
        "code": record.code_checksum,
        "data": None if record.dataset is None else record.dataset["checksum"],
        **machine_parts(record.environment),
    }


def difference(recorded: Parts, wanted: Parts) -> str | None:
    """Difference in run key to an earlier run of the same configuration and seed; None if it is the same run.

    A run that failed before loading data has none recorded, which is no difference.
    """
    if recorded["code"] is None:
        return "before records said with which code"
    names = [
        name
        for name, value in wanted.items()
        if recorded[name] != value and not (name == "data" and recorded[name] is None)
    ]
    texts = {"code": "with other code", "data": "on other data", "machine": "on another machine"}
    return " and ".join(texts.get(name, f"with {name} {recorded[name] or 'unknown'}") for name in names) or None
