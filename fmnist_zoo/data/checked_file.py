"""Tensors in a safetensors file with a CRC-32 of every byte in its header.

The file is read, never mapped: another process truncating a mapped file would kill this one.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Final

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from fmnist_zoo.data.cache import write_atomic
from fmnist_zoo.data.errors import DataFileError, MissingFileError
from fmnist_zoo.files import read_regular

_KEY: Final = b'"crc32":"'
_BLANK: Final = b"00000000"
_MAX_HEADER_BYTES: Final = 1 << 16


def write_sealed(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors and metadata atomically.

    Raises:
        CacheWriteError: the file can't be written.
    """
    blank = safetensors.torch.save(tensors, {**metadata, "crc32": _BLANK.decode()})
    at = blank.index(_KEY, 0, _MAX_HEADER_BYTES) + len(_KEY)
    crc = f"{zlib.crc32(blank):08x}".encode()
    write_atomic(path, b"".join((memoryview(blank)[:at], crc, memoryview(blank)[at + len(crc) :])))


def read_sealed(path: Path, *, limit_bytes: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file written by `write_sealed`.

    Raises:
        MissingFileError: there is no such file.
        DataFileError: it is unreadable, longer than `limit_bytes`, or damaged.
    """
    try:
        raw = read_regular(path, limit_bytes)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(str(path), "a file", "none") from error
    except (OSError, ValueError) as error:
        raise DataFileError(str(path), "a regular file that can be read", str(error)) from error
    at = raw.find(_KEY, 0, _MAX_HEADER_BYTES) + len(_KEY)
    if at < len(_KEY):
        raise DataFileError(str(path), "a checksum in the header", f"none in {len(raw):,} bytes")
    crc = _crc32_with_blank(raw, at)
    if raw[at : at + len(_BLANK)] != crc:
        raise DataFileError(str(path), f"CRC-32 {raw[at : at + len(_BLANK)]!r}", f"{crc!r}")
    try:
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        return safetensors.torch.load(raw), header["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:  # sealed by something else
        raise DataFileError(str(path), "tensors with metadata", f"other contents ({error})") from error


def _crc32_with_blank(raw: bytes, at: int) -> bytes:
    crc = zlib.crc32(memoryview(raw)[:at])
    crc = zlib.crc32(_BLANK, crc)
    return f"{zlib.crc32(memoryview(raw)[at + len(_BLANK) :], crc):08x}".encode()
