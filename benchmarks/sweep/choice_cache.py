"""Choices of precision and engine that were measured before, kept by configuration, hardware and software.

A probe in another minute could choose otherwise: remembering it makes the runs of one sweep, and of its repetition on
the same machine with the same software, the same experiment. To have it measured anew, delete the folder `choices` in
the cache.
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

from benchmarks.records.json_files import read_json
from benchmarks.records.schema import Environment
from fmnist_zoo.data.cache import cache_root
from fmnist_zoo.files import write_atomically
from fmnist_zoo.training.choose import Choice


def choice_path(config_key: str, environment: Environment) -> Path | None:
    """Where a configuration's choice is kept; None where nothing is, since the sources aren't known to be a commit's.

    Args:
        config_key: identity of the configuration, seed apart.
        environment: all of its hardware and software counts, and the number of threads that a person has set.
    """
    if environment["software"]["dirty"] is not False:
        return None
    identity = json.dumps([config_key, environment, os.environ.get("OMP_NUM_THREADS")], sort_keys=True)
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
