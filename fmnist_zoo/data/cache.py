"""The user's cache folder: where it is, how it is written, and who may write it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import filelock
import platformdirs

from fmnist_zoo.data.errors import CacheWriteError
from fmnist_zoo.data.progress import Reporter
from fmnist_zoo.files import TEMPORARY, write_atomically

LOCK_LIMIT_S: Final = 1800.0
"""Longer than any fetch may take; the system frees the lock of a process that died."""
_LOCK_NAME = ".lock"


def cache_root() -> Path:
    """The folder that FMNIST_ZOO_CACHE names, else this platform's cache folder for `fmnist-zoo`; it may not exist.

    Raises:
        CacheWriteError: it begins with the home folder of nobody who is known.
    """
    named = os.environ.get("FMNIST_ZOO_CACHE")
    if not named:
        return platformdirs.user_cache_path("fmnist-zoo", appauthor=False)
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise CacheWriteError(named, str(error)) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write `path` so that a reader, also after a crash, finds the old file, the whole new one, or none.

    Raises:
        CacheWriteError: it can't be written. Nothing is left behind.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise CacheWriteError(str(path), error.strerror or str(error)) from error


@contextmanager
def locked(folder: Path, reporter: Reporter) -> Generator[None, None, None]:
    """Make `folder` and hold it for this process alone; what a killed process left half-written in it is removed.

    Raises:
        CacheWriteError: the folder can't be made or written, or another process holds it for `LOCK_LIMIT_S`.
    """
    lock = filelock.FileLock(folder / _LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock, folder, reporter)
    except filelock.Timeout as error:
        raise CacheWriteError(str(folder), f"another process holds its lock for {LOCK_LIMIT_S:.0f} s") from error
    except OSError as error:
        raise CacheWriteError(str(folder), error.strerror or str(error)) from error
    try:
        for leftover in folder.glob(f".*{TEMPORARY}"):
            leftover.unlink(missing_ok=True)
        yield
    finally:
        lock.release()


def _acquire(lock: filelock.BaseFileLock, folder: Path, reporter: Reporter) -> None:
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        reporter.say(f"waiting for another process that fills {folder}")
        lock.acquire(timeout=LOCK_LIMIT_S)
