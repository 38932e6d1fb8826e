"""Files of JSON that may hold anything: read, or named with the reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmnist_zoo.files import read_regular

JSON_LIMIT_BYTES: Final = 1 << 26
"""A record is a thousandth of it: more isn't ours, and might not fit into memory."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that is not a readable record, and why."""

    name: str
    reason: str


def visible_files(folder: Path) -> list[Path]:
    """What lies in a folder, by name, but for hidden names; nothing where there is no folder.

    Raises:
        OSError: the folder can't be read.
    """
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_json(path: Path) -> Any:
    """What a file of JSON holds.

    Raises:
        OSError: it can't be read.
        ValueError: it isn't a regular file, too long, no JSON, too deeply nested, or has a number that JSON doesn't.
    """
    content = read_regular(path, JSON_LIMIT_BYTES)
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except ValueError as error:  # also of bytes that aren't UTF-8
        raise ValueError(f"not JSON, or cut short: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
