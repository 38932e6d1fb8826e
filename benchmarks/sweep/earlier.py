"""What earlier processes have left for a run: its choice of precision and engine, and a checkpoint to go on from.

Choices are kept by configuration, hardware and software. A probe in another minute could choose otherwise: remembering
it makes the runs of one sweep, and of its repetition on the same machine with the same software, the same experiment.
To have it measured anew, delete the folder `choices` in the cache.
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
    """Where a configuration's choice is kept; None where nothing is, since the sources aren't known to be a commit's.

    Args:
        config_key: identity of the configuration, seed apart.
        environment: all of its hardware, software and details counts, but for which of equal machines it is, and the
            number of threads that a person has set.
    """
    if environment["software"]["dirty"] is not False:
        return None
    identity = json.dumps([config_key, of_any_host(environment), os.environ.get("OMP_NUM_THREADS")], sort_keys=True)
    return cache_root() / "choices" / f"{hashlib.sha256(identity.encode()).hexdigest()}.json"


def remembered(path: Path | None) -> Choice | None:
    """The choice in a file, if it is one; a damaged file is as good as none, since it will be written again."""
    if path is None:
        return None
    try:
        choice = read_json(path, Choice)
    except (OSError, ValueError):
        return None
    return None if choice.reason is None else choice


def decided(execution: Mapping[str, str | None] | None) -> Choice | None:
    """The choice that the record of another seed names."""
    return None if execution is None else Choice(**execution)  # type: ignore[arg-type]


def remember(path: Path | None, choice: Choice) -> None:
    """Keep a choice that was measured, with the day; a cache that can't be written costs the next run a probe."""
    if path is None or choice.reason is None:
        return
    dated = replace(choice, reason=f"{choice.reason} (measured {datetime.now(UTC):%Y-%m-%d})")
    with contextlib.suppress(OSError):
        write_atomically(path, json.dumps(asdict(dated)).encode())


def open_checkpoints(job: Job) -> Checkpoints | None:
    """Where the run's state is kept, and what an earlier process has left there; None where none is to be kept."""
    if (asked := job["checkpoint"]) is None:
        return None
    return Checkpoints(Path(asked["path"]), key=asked["key"], every_epochs=asked["every_epochs"])


def begun_with(checkpoints: Checkpoints | None) -> Choice | None:
    """The precision and engine of the process that left a checkpoint."""
    if checkpoints is None or (state := checkpoints.state) is None:
        return None
    return Choice(precision=state.precision, engine=state.engine, reason=state.about.get("reason"))


def resumed_flag(result: FitResult, ledger: Ledger) -> Flag | None:
    """What a reader has to know of a run that went on; None where it was never ended."""
    if result.resumed_epochs is None:
        return None
    return {
        "kind": "resumed",
        "evidence": f"Resumed after {result.resumed_epochs} of {len(result.history)} epochs; the wall time includes "
        f"{ledger.carried_s:.1f} s of the earlier process up to its checkpoint. Load is of the remaining epochs only; "
        "energy is unknown.",
        "advice": None,
    }
