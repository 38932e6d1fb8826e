"""The user's cache folder: location, atomic writes, locking."""

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
"""Longer than any download may take; the system releases the lock of a dead process."""
_LOCK_NAME = ".lock"


def cache_root() -> Path:
    """FMNIST_ZOO_CACHE if set, else the platform's cache folder for `fmnist-zoo`; it may not exist.

    Raises:
        CacheWriteError: it starts with the home folder of an unknown user.
    """
    named = os.environ.get("FMNIST_ZOO_CACHE")
    if not named:
        return platformdirs.user_cache_path("fmnist-zoo", appauthor=False)
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise CacheWriteError(named, str(error)) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write `path` atomically: even after a crash it is the old file, the complete new one, or absent.

    Raises:
        CacheWriteError: it can't be written; nothing is left behind.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise CacheWriteError(str(path), error.strerror or str(error)) from error


@contextmanager
def locked(folder: Path, reporter: Reporter) -> Generator[None, None, None]:
    """Create and lock `folder`, and remove half-written files of killed processes from it.

    Raises:
        CacheWriteError: the folder is not writable, or another process holds it for `LOCK_LIMIT_S`.
    """
    lock = filelock.FileLock(folder / _LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock, folder, reporter)
    except filelock.Timeout as error:
        raise CacheWriteError(str(folder), f"another process has held its lock for {LOCK_LIMIT_S:.0f} s") from error
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
        reporter.say(f"waiting for another process to fill {folder}")
        lock.acquire(timeout=LOCK_LIMIT_S)
