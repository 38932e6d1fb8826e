"""Files of JSON that may hold anything: read, or named with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not a readable record, and why."""

    name: str
    reason: str


def read_json(path: Path) -> Any:
    """What a file of JSON holds; ValueError where it holds none, or a number that JSON doesn't have."""
    try:
        return json.loads(path.read_bytes(), parse_constant=_refuse_constant)
    except ValueError as error:  # also of bytes that aren't UTF-8
        raise ValueError(f"not JSON, or cut short: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
