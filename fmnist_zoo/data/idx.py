"""Reading idx files, the format of MNIST and its successors, from untrusted bytes.

An idx file is a magic number (0, 0, type, number of dimensions), one big-endian 32-bit count per dimension, and the
values in row-major order. The caller gives the shape: nothing is allocated on a header's word.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fmnist_zoo.data.catalog import NUM_CLASSES, IdxFile, whose
from fmnist_zoo.data.errors import DataFileError

_GZIP_MAGIC = b"\x1f\x8b"
_UINT8 = 0x08


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class IdxContent:
    """A verified file: values (uint8, read-only) and decompressed MD5."""

    values: NDArray[np.uint8]
    md5: str


def read_idx(raw: bytes, file: IdxFile, *, path: str) -> IdxContent:
    """Decode and verify the bytes of an idx file, compressed or not (detected from the bytes, not the name).

    Args:
        raw: bytes of the file.
        file: the expected file.
        path: path or URL, for messages.

    Raises:
        DataFileError: it is damaged or another file; says what was expected and found.
    """
    is_gzip = raw[:2] == _GZIP_MAGIC
    plain = decompress(raw, limit_bytes=file.size_bytes, path=path) if is_gzip else raw
    values = parse_idx(plain, file.shape, path=path)
    if len(file.shape) == 1 and int(values.max(initial=0)) >= NUM_CLASSES:
        raise DataFileError(path, f"labels from 0 to {NUM_CLASSES - 1}", f"label {values.max()}")
    md5 = hashlib.md5(plain, usedforsecurity=False).hexdigest()
    if file.md5 is None:
        _refuse_unknown(raw if is_gzip else None, md5, file, path)
    elif md5 != file.md5:
        raise DataFileError(path, f"MD5 {file.md5} when decompressed", _describe(md5))
    return IdxContent(values=values, md5=md5)


def decompress(raw: bytes, *, limit_bytes: int, path: str) -> bytes:
    """Decompress gzip up to one byte past `limit_bytes`, enough to detect an excess."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
            return stream.read(limit_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(path, "a complete gzip file", f"a damaged one of {len(raw):,} bytes ({error})") from error


def parse_idx(plain: bytes, shape: tuple[int, ...], *, path: str) -> NDArray[np.uint8]:
    """Values of an uncompressed uint8 idx file, as a read-only view of `plain` with this `shape`.

    Raises:
        DataFileError: wrong magic number, counts or length.
    """
    header_bytes = 4 + 4 * len(shape)
    magic = bytes([0, 0, _UINT8, len(shape)])
    if len(plain) < header_bytes:
        raise DataFileError(path, f"an idx header of {header_bytes} bytes", f"{len(plain)} bytes")
    if plain[:4] != magic:
        raise DataFileError(path, f"magic number 0x{magic.hex()}", f"0x{plain[:4].hex()}")
    counts = tuple(int(count) for count in np.frombuffer(plain, dtype=">u4", count=len(shape), offset=4))
    if counts != shape:
        raise DataFileError(path, f"counts {_times(shape)}", _times(counts))
    values = np.frombuffer(plain, dtype=np.uint8, offset=header_bytes)
    size_bytes = header_bytes + math.prod(shape)
    if len(plain) != size_bytes:
        found = f"{len(plain):,}" if len(plain) < size_bytes else "more"
        raise DataFileError(path, f"{size_bytes:,} bytes when decompressed", found)
    return values.reshape(shape)


def _refuse_unknown(gz: bytes | None, md5: str, file: IdxFile, path: str) -> None:
    """Weaker check for a file without a known decompressed MD5: the published .gz, or no other known file."""
    if whose(md5) is not None:
        raise DataFileError(path, f"the {file.name} of the dataset asked for", _describe(md5))
    if gz is not None and file.gz_md5 is not None:
        gz_md5 = hashlib.md5(gz, usedforsecurity=False).hexdigest()
        if gz_md5 != file.gz_md5:
            raise DataFileError(path, f"MD5 {file.gz_md5} of the .gz as published", gz_md5)


def _describe(md5: str) -> str:
    owner = whose(md5)
    return md5 if owner is None else f"{md5}, which is {owner}"


def _times(counts: tuple[int, ...]) -> str:
    return " x ".join(f"{count}" for count in counts)
