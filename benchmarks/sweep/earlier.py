"""What earlier processes left for a run: choice of precision and engine, and a checkpoint to resume from.

Choices are cached by configuration, hardware and software. Another probe might choose differently: the cache makes the
runs of a sweep, and its repetition with the same machine and software, one experiment. To measure again, delete the
folder `choices` in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.records.json_files import read_json
from benchmarks.records.machine import of_any_host
from benchmarks.records.schema import Environment, Flag
from fmnist_zoo.data.cache import cache_root
from fmnist_zoo.files import write_atomically
from fmnist_zoo.training.choose import Choice
from fmnist_zoo.training.state import Checkpoints

if TYPE_CHECKING:
    from benchmarks.sweep.job import Job
    from fmnist_zoo.training.fit import FitResult
    from fmnist_zoo.training.ledger import Ledger


def choice_path(config_key: str, environment: Environment) -> Path | None:
    """Path of a configuration's cached choice; None if the sources are not those of a commit.

    Args:
        config_key: of the configuration, without seed.
        environment: all of its hardware, software and details counts, but for which of equal machines it is, and the
            number of threads that a person has set.
    """
    if environment["software"]["dirty"] is not False:
        return None
    identity = json.dumps([config_key, of_any_host(environment), os.environ.get("OMP_NUM_THREADS")], sort_keys=True)
    return cache_root() / "choices" / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"


def remembered(path: Path | None) -> Choice | None:
    """The choice in a file; None if missing or damaged (it is then rewritten)."""
    if path is None:
        return None
    try:
        choice = read_json(path, Choice)
    except (OSError, ValueError):
        return None
    return None if choice.reason is None else choice


def decided(execution: Mapping[str, str | None] | None) -> Choice | None:
    """The choice in the record of another seed."""
    return None if execution is None else Choice(**execution)  # type: ignore[arg-type]


def remember(path: Path | None, choice: Choice) -> None:
    """Cache a measured choice, with the date; if that fails, the next run probes again."""
    if path is None or choice.reason is None:
        return
    dated = replace(choice, reason=f"{choice.reason} (measured {datetime.now(UTC):%Y-%m-%d})")
    with contextlib.suppress(OSError):
        write_atomically(path, json.dumps(asdict(dated)).encode())


def open_checkpoints(job: Job) -> Checkpoints | None:
    """The run's checkpoints, with any earlier state; None without checkpoints."""
    if (asked := job["checkpoint"]) is None:
        return None
    return Checkpoints(Path(asked["path"]), key=asked["key"], every_epochs=asked["every_epochs"])


def begun_with(checkpoints: Checkpoints | None) -> Choice | None:
    """Precision and engine of the process that left a checkpoint."""
    if checkpoints is None or (state := checkpoints.state) is None:
        return None
    return Choice(precision=state.precision, engine=state.engine, reason=state.about.get("reason"))


def resumed_flag(result: FitResult, ledger: Ledger) -> Flag | None:
    """Flag of a resumed run; None for others."""
    if result.resumed_epochs is None:
        return None
    return {
        "kind": "resumed",
        "evidence": f"Resumed after {result.resumed_epochs} of {len(result.history)} epochs; the wall time includes "
        f"{ledger.carried_s:.1f} s of the earlier process up to its checkpoint. Load is of the remaining epochs only; "
        "energy is unknown.",
        "advice": None,
    }
