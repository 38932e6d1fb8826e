"""One run, one record: what is known of it, and its identity.

`benchmarks.records.validate` says whether a record contradicts itself, `benchmarks.records.store` keeps records in a
folder. None of them imports torch or numpy at import time.
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
"""Changes when a field is renamed, removed or means something else; older records are refused then, as newer ones."""
RUN_ID = re.compile(r"\d{8}T\d{6}\.\d{3}Z-\w{1,80}-[0-9a-f]{8}-s\d{1,10}", re.ASCII)
"""What the names of runs look like: safe as names of files."""


@dataclass(kw_only=True, slots=True)
class RunRecord:
    """All that is known of one run. What could not be measured is None.

    A quantity that is measured anew gets a field with the default None: records without it are read with None.

    Attributes:
        run_id: see `run_id`; also the name of the file.
        error: None where the status is ok, else the message and the last lines of the log.
        variant: the row's label in the sweep that made it.
        started_at: UTC, `2026-11-21T21:00:00Z`.
        load: by the part of the run that was timed: `train`, `throughput`.
        config_key: `config_key(config)`.
        code_checksum: of the model's and the training's program (`sweep.code_checksum`); None in records of before.
        reads as it is written: the rest has the names and units of `benchmarks.records.schema`.
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
    assert RUN_ID.fullmatch(name), name
    return name


def plain(value: Any, *, keep_non_finite: bool = False) -> Any:
    """Mappings, tuples and numbers as what JSON has; numbers that aren't finite become None unless kept.

    Half of a surrogate pair, as in the name of a file that isn't UTF-8, becomes a question mark.
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
