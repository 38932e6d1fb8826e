"""JSON files with unknown content: parsed as the expected type, or reported with the reason."""

from __future__ import annotations

import dataclasses
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict, TypeVar

import msgspec

from fmnist_zoo.files import read_regular

T = TypeVar("T")

JSON_LIMIT_BYTES: Final = 1 << 26
"""Records have a thousandth; larger files aren't ours and may not fit in memory."""
_PHRASES = (
    (re.compile("Object missing required field `(.*)`"), r"has no \1"),
    (re.compile("Expected `(.*)`, got `(.*)`"), r"is \2, not \1"),
    (re.compile("Expected `int` ([<>]=) .*"), "is an integer of more than 64 bits"),
    (re.compile("Invalid enum value (.*)"), r"is \1, which it can't be"),
    (re.compile("(Number|Integer value) out of range"), "is a number out of range"),
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Unreadable file, with the reason."""

    name: str
    reason: str


def visible_files(folder: Path) -> list[Path]:
    """Entries of a folder by name, without hidden ones; empty if there is no folder.

    Raises:
        OSError: the folder can't be read.
    """
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_json(path: Path, kind: type[T]) -> T:
    """Read a JSON file as a type: see `decode`.

    Raises:
        OSError: it can't be read.
        ValueError: not a regular file, too long, or of another type.
    """
    return decode(read_regular(path, JSON_LIMIT_BYTES), kind)


def read_versioned(path: Path, kind: type[T], version: int) -> T:
    """Read a dataclass with a `schema_version`: see `decode_versioned`."""
    return decode_versioned(read_regular(path, JSON_LIMIT_BYTES), kind, version)


def decode(text: bytes, kind: type[T]) -> T:
    """Decode JSON as a type that msgspec knows: TypedDicts, dataclasses and plain types.

    An integer is a float too, a boolean is neither, and numbers are finite. Unknown keys of a TypedDict are ignored: a
    part may grow without a new schema version.

    Raises:
        ValueError: not JSON, nested too deeply, or of another type; the message says where, as `$.history[3].lr`.
    """
    try:
        return _decoder(kind).decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except msgspec.ValidationError as error:
        raise ValueError(_sentence(str(error))) from error
    except msgspec.DecodeError as error:
        raise ValueError(f"not JSON, or cut short: {error}") from error


def decode_versioned(text: bytes, kind: type[T], version: int) -> T:
    """Decode JSON as a dataclass with `schema_version`: all fields without default None, and no others.

    A missing field with default None is None: a new measurement needs no new version.

    Raises:
        ValueError: as `decode`; also for another version.
    """
    its_version = decode(text, _Versioned)["schema_version"]
    if its_version != version:
        age = "newer" if its_version > version else "older"
        raise ValueError(f"schema version {its_version} is {age} than this program's {version}")
    found = decode(text, dict[str, msgspec.Raw])
    needed = {field.name: field.default is not None for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(found) - set(needed)):
        raise ValueError(f"unknown field {', '.join(unknown)}")
    if missing := [name for name in needed if needed[name] and name not in found]:
        raise ValueError(f"$ has no {', '.join(missing)}")
    return decode(text, kind)


class _Versioned(TypedDict):
    schema_version: int


@functools.cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


def _sentence(message: str) -> str:
    """Error and location, from msgspec's `WHAT - at `WHERE``."""
    what, _, where = message.partition(" - at `")
    for pattern, phrase in _PHRASES:
        if found := pattern.fullmatch(what):
            what = found.expand(phrase)
    return f"{where.removesuffix('`') or '$'} {what:.200}"
