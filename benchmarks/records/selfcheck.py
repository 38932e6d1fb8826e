"""selfcheck.json: results of an A/A check as types, with reading and writing. No torch, no clock."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, TypedDict

from benchmarks.records.json_files import JSON_LIMIT_BYTES, Problem, decode
from benchmarks.records.record import plain
from benchmarks.records.schema import Environment, Int64
from fmnist_zoo.files import read_regular, write_atomically

FILE = "selfcheck.json"
SCHEMA_VERSION = 2

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


class Arm(TypedDict):
    """A model, with all that affects its speed but the machine."""

    model: str
    precision: str
    engine: str
    recipe: dict[str, Any]


class Settings(TypedDict):
    """Arms compared with themselves, by label."""

    arms: dict[str, Arm]
    device: str


class Comparison(TypedDict):
    """Two copies of one training step, timed in turn: seconds by round, and their ratio.

    `low` and `high` bound the 95% interval of the ratio; None with too few rounds.
    """

    arm: str
    steps_per_sample: Int64
    first_s: list[float]
    second_s: list[float]
    ratio: float
    low: float | None
    high: float | None


class WithinProcess(TypedDict):
    """Comparisons of arms interleaved in one process.

    Rates are shares from 0 to 1; floors are the 95th percentile of |ratio - 1| over comparisons, in percent.
    """

    num_rounds: Int64
    comparisons: list[Comparison]
    num_different: Int64
    false_difference_rate: float
    standard_error: float
    largest_rate: float
    floor_pct: float
    floor_pct_by_arm: dict[str, float]


class ProcessRates(TypedDict):
    """Throughput of an arm, measured by one fresh process."""

    arm: str
    started_at: str
    train_img_per_s: float
    infer_img_per_s: float


class BetweenProcesses(TypedDict):
    """The same arm in consecutive fresh processes.

    Floors are the 95th percentile over the pairs of processes of one arm: the faster over the slower, minus 1, in
    percent; by arm, and over all pairs.
    """

    processes: list[ProcessRates]
    num_pairs: Int64
    train_floor_pct: float
    infer_floor_pct: float
    train_floor_pct_by_arm: dict[str, float]
    infer_floor_pct_by_arm: dict[str, float]


class Selfcheck(TypedDict):
    """An A/A check. `measured_at` is UTC, `2026-11-24T15:00:00Z`."""

    schema_version: Literal[2]
    measured_at: str
    command: str
    settings: Settings
    environment: Environment
    within_process: WithinProcess
    between_processes: BetweenProcesses


def kind_of_all(found: Selfcheck) -> list[str]:
    """Precision and engine if all arms share them; else empty, as labels name them."""
    kinds = {(arm["precision"], arm["engine"]) for arm in found["settings"]["arms"].values()}
    return list(*kinds) if len(kinds) == 1 else []


def write(machine_dir: Path, found: Selfcheck) -> Path:
    """Write a machine's selfcheck.json, replacing an older one."""
    path = machine_dir / FILE
    write_atomically(path, (json.dumps(plain(found, keep_non_finite=True), indent=1, allow_nan=False) + "\n").encode())
    return path


def read(machine_dir: Path) -> tuple[Selfcheck | None, Problem | None]:
    """A machine's A/A check or None, and the problem with an unreadable file."""
    path = machine_dir / FILE
    try:
        found = decode(read_regular(path, JSON_LIMIT_BYTES), Selfcheck)
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except (OSError, ValueError) as error:
        return None, Problem(FILE, f"can't be read: {error}")
    if not _TIME.fullmatch(found["measured_at"]):
        reason = f"measured_at {found['measured_at']!r:.60} is not a UTC time such as 2026-11-24T15:00:00Z"
        return None, Problem(FILE, reason)
    return found, None
