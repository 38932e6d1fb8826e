"""Arms to compare, and records of comparisons: `<machine>/arms/<comparison_id>.json`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from benchmarks.records.json_files import Problem, decode_versioned, read_versioned, visible_files
from benchmarks.records.record import config_key, identity_fault, plain
from benchmarks.records.schema import Compilation, Config, Environment, Flag, Int64, Load
from fmnist_zoo.files import write_atomically

ARMS_VERSION = 1
REFERENCE = {"precision": "fp32", "engine": "eager"}
"""Reference of every arm, even if the sweep doesn't run it."""


class Parity(TypedDict):
    """Errors of one training step relative to an fp64 reference, and whether they are within limits."""

    logits_rms: float | None
    logits_max: float | None
    gradients_rms: float | None
    gradients_max: float | None
    logits_limit: float
    gradients_limit: float
    passed: bool


class FirstStep(TypedDict):
    """Cost of compilation, capture and warm-up in a process of its own."""

    first_step_s: float
    compilation: Compilation


class Arm(TypedDict):
    """One precision and engine. `config_key` is that of its runs; `error` explains missing values.

    `samples_step_ms` has one sample per round, in ms per step. `cold` starts with an empty compiler cache, `warm`
    with the cache left by `cold`; None if nothing is compiled.
    """

    precision: str
    engine: str
    config_key: str
    ran_engine: str | None
    fallback: str | None
    error: str | None
    samples_step_ms: list[float]
    parity: Parity | None
    cold: FirstStep | None
    warm: FirstStep | None


@dataclass(kw_only=True, slots=True)
class ArmsRecord:
    """All arms of one model and recipe, timed in turn in one process.

    Attributes:
        comparison_id: also the name of the file.
        started_at: UTC, `2026-11-21T21:00:00Z`.
        config: of the reference arm, fp32 and eager.
        arms: the reference first.
        steps_per_epoch: of the training that is timed.
        load: of the machine while the arms were timed.
    """

    schema_version: Int64 = ARMS_VERSION
    comparison_id: str
    model: str
    family: str
    started_at: str
    command: str
    config: Config
    environment: Environment
    num_threads: Int64 | None
    steps_per_epoch: Int64 | None
    steps_per_sample: Int64 | None
    arms: list[Arm]
    load: Load | None = None
    flags: list[Flag] = field(default_factory=list)
    wall_s: float | None = None

    @property
    def key(self) -> str:
        """Identity of the comparison, equal across sweeps."""
        return comparison_key([arm["config_key"] for arm in self.arms])


def comparison_key(config_keys: Sequence[str]) -> str:
    """SHA-256 (hex) of the identities of a comparison's arms."""
    return hashlib.sha256(json.dumps(list(config_keys)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmGroup:
    """Arms of one model and recipe, by configuration; the reference first.

    Attributes:
        configs: differ only in precision and engine.
        family: of the model.
    """

    configs: tuple[Config, ...]
    family: str

    @property
    def keys(self) -> tuple[str, ...]:
        """Identities of the configurations."""
        return tuple(config_key(config) for config in self.configs)

    @property
    def key(self) -> str:
        """Identity of the comparison, equal across sweeps."""
        return comparison_key(self.keys)


def arm_groups(variants: Sequence[tuple[Config, str]]) -> list[ArmGroup]:
    """Comparisons of a sweep, by name: groups of variants that differ only in precision and engine.

    Args:
        variants: configuration and family of each.
    """
    groups: dict[str, list[Config]] = {}
    families: dict[str, str] = {}
    for config, family in variants:
        if "auto" not in (config["precision"], config["engine"]):
            shared = config_key({**config, **REFERENCE})
            groups.setdefault(shared, []).append(config)
            families[shared] = family
    return [
        ArmGroup(configs=_reference_first(configs), family=families[shared])
        for shared, configs in groups.items()
        if len(configs) > 1
    ]


def _reference_first(configs: Sequence[Config]) -> tuple[Config, ...]:
    reference: Config = {**configs[0], **REFERENCE}  # type: ignore[typeddict-item]
    return (reference, *(config for config in configs if config != reference))


class ArmsStore:
    """Comparisons of one machine."""

    def __init__(self, machine_dir: Path) -> None:
        self.folder = machine_dir / "arms"

    def write(self, record: ArmsRecord) -> Path:
        """Write a comparison.

        Raises:
            ValueError: it doesn't fit the schema and would be unreadable.
            WriteError: it can't be written; an earlier one is kept.
        """
        content = plain(dataclasses.asdict(record))
        try:
            text = (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()
            _comparison(decode_versioned(text, ArmsRecord, ARMS_VERSION), record.comparison_id)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"comparison {record.comparison_id} does not fit version {ARMS_VERSION}: {error}"
            ) from error
        path = self.folder / f"{record.comparison_id}.json"
        write_atomically(path, text)
        return path

    def read_all(self) -> tuple[list[ArmsRecord], list[Problem]]:
        """All comparisons, oldest first, and each unreadable file with the reason."""
        records: list[ArmsRecord] = []
        problems: list[Problem] = []
        for path in self.paths():
            try:
                records.append(_read(path))
            except (OSError, ValueError, RecursionError) as error:
                problems.append(Problem(f"arms/{path.name}", str(error) or type(error).__name__))
        return records, problems

    def paths(self) -> list[Path]:
        """Visible files of the folder, by name; none without a folder."""
        return visible_files(self.folder)


def _read(path: Path) -> ArmsRecord:
    if path.suffix != ".json":
        raise ValueError("not a comparison of arms: only <comparison_id>.json belongs here")
    return _comparison(read_versioned(path, ArmsRecord, ARMS_VERSION), path.stem)


def _comparison(record: ArmsRecord, name: str) -> ArmsRecord:
    """Check a comparison read from a file `name`; ValueError if it contradicts itself or the name."""
    if fault := _fault(record):
        raise ValueError(fault)
    if record.comparison_id != name:
        raise ValueError(f"holds the comparison {record.comparison_id}, of which it doesn't have the name")
    return record


def _fault(record: ArmsRecord) -> str | None:
    """Inconsistency in a comparison; None if it is valid."""
    if not record.arms:
        return "there is no arm"
    num_rounds = len(record.arms[0]["samples_step_ms"])
    for arm in record.arms:
        samples = arm["samples_step_ms"]
        if min(samples, default=1.0) <= 0:
            return "samples_step_ms has a time that is not above 0"
        if num_rounds and samples and len(samples) != num_rounds:
            return f"samples_step_ms has {len(samples)} rounds, and the first arm {num_rounds}"
    return identity_fault("comparison_id", record.comparison_id, record.started_at, record.config)
