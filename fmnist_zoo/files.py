"""Files that other processes may read and write at the same time, on disks that may be full."""

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
"""How the name of a file that is being written ends; it also begins with a dot."""

LEFTOVER_AGE_S: Final = 86_400.0
"""Far longer than any write takes: what is older was left by a process that was killed in the middle of one."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CANNOT_FLUSH = (errno.EINVAL, errno.ENOTSUP)


class WriteError(OSError):
    """A file can't be written. What was there under its name before still is, as a whole."""

    def __str__(self) -> str:
        advice = "make room there" if self.errno in _NO_ROOM else "see that it can be written there"
        return f"can't write {self.filename}: {self.strerror}; {advice}, or name another folder"


@contextmanager
def replacing(path: Path) -> Generator[Path, None, None]:
    """A temporary path to write a file to; it becomes `path` as a whole or not at all, also after a power cut.

    Makes the folder where it is missing. Readers and other writers never see a part of the file.

    Raises:
        WriteError: it can't be written. Nothing is left behind.
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
    """Write a file so that it is either wholly there or not at all; see `replacing`.

    Raises:
        WriteError: it can't be written, and the old one is as it was.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """All of a file: no pipe is waited for, and no more is read than such a file may hold.

    Raises:
        OSError: it isn't there, or can't be read.
        ValueError: it isn't a regular file, or longer than `limit_bytes`; the message doesn't name it.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        if status.st_size > limit_bytes:
            raise ValueError(f"{status.st_size:,} bytes, more than the {limit_bytes:,} that such a file may have")
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(status.st_size + 1)
        if len(content) > status.st_size:
            raise ValueError(f"more than the {status.st_size:,} bytes that the system says it has")
        return content
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder and those below it, once it is a day old.

    Raises:
        OSError: a leftover can't be removed.
    """
    for path in folder.rglob(f".{'[0-9a-f]' * 16}{TEMPORARY}"):
        try:
            if time.time() - path.lstat().st_mtime > LEFTOVER_AGE_S:
                path.unlink()
        except FileNotFoundError:
            continue  # another process was faster


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it; each new name is flushed, too."""
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
    if os.name != "posix":  # only there a folder can be opened to be flushed
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:  # some file systems, mostly of networks, have no such thing
            raise
    finally:
        os.close(descriptor)


def check_writable(folder: Path, option: str, value: Path) -> None:
    """Make a folder, and try to write there, before hours are spent on what can't be kept.

    Raises:
        ValueError: that can't be done; it names the option that asked for the folder, and its value.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"{option} {value} can't be written to ({error}); name another folder") from error
