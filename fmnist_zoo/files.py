"""Atomic file writes, safe with concurrent processes and full disks."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

TEMPORARY: Final = ".tmp"
"""Suffix of a file being written, whose name also starts with a dot."""

LEFTOVER_AGE_S: Final = 86_400.0
"""Far longer than any write: older temporary files are leftovers of killed processes."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP)


class WriteError(OSError):
    """A file can't be written; an existing file is left intact."""

    def __str__(self) -> str:
        advice = "free some space" if self.errno in _NO_ROOM else "make it writable"
        return f"can't write {self.filename}: {self.strerror}; {advice} or choose another folder"


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """A temporary path to write to; it replaces `path` atomically, even across a power cut.

    Creates the folder if missing. Readers and other writers never see a partial file.

    Raises:
        WriteError: it can't be written; nothing is left behind.
    """
    temporary = path.parent / f".{secrets.token_hex(8)}{TEMPORARY}"
    try:
        _make_folder(path.parent)
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error), str(path)) from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file atomically; see `replacing`.

    Raises:
        WriteError: it can't be written; an existing file is left intact.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Contents of a regular file of limited size, without blocking on pipes.

    Raises:
        OSError: it is missing or unreadable.
        ValueError: it isn't a regular file, or longer than `limit_bytes`; the message doesn't name the file.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        if status.st_size > limit_bytes:
            raise ValueError(f"{status.st_size:,} bytes, over the limit of {limit_bytes:,} for such a file")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(status.st_size + 1)
        if len(content) > status.st_size:
            raise ValueError(f"longer than its reported size of {status.st_size:,} bytes")
        return content
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove killed processes' temporary files, once a day old, from a folder and its subfolders.

    Raises:
        OSError: a leftover can't be removed.
    """
    for path in folder.rglob(f".{'[0-9a-f]' * 16}{TEMPORARY}"):
        try:
            if time.time() - path.lstat().st_mtime > LEFTOVER_AGE_S:
                path.unlink()
        except FileNotFoundError:
            continue  # another process removed it first


def _make_folder(folder: Path) -> None:
    """Create a folder and its parents, flushing each new name."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for part in missing:
        _flush_folder(part.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder can't be opened to flush it
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:  # unsupported by some (mostly network) file systems
            raise
    finally:
        os.close(descriptor)


def check_writable(folder: Path, option: str, value: Path) -> None:
    """Create a folder and test that it is writable, before hours of work are lost.

    Raises:
        ValueError: it is not writable; the message names the option and its value.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{option} {value} is not writable ({error}); choose another folder") from error
