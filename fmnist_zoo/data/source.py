"""What a source of files is, and the simplest one: a folder."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fmnist_zoo.data.catalog import IdxFile
from fmnist_zoo.data.errors import DataFileError, MissingFileError, SourceError
from fmnist_zoo.files import read_regular

COMPRESSION_SLACK_BYTES: Final = 1 << 16
"""By how much a .gz may be longer than its content: what doesn't shrink grows by far less."""

Read = Callable[[IdxFile], tuple[str, bytes]]
"""Takes a file, returns its path or URL and its bytes, compressed or not, unverified."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One place to ask for files. `open` prepares it (as far as needed) and gives the function that reads from it.

    Raises (from `open` and from what it gives):
        SourceError: the place is of no use, don't ask it again.
        DataFileError: this one file can't be had from it.
    """

    origin: str
    """A word for records: `folder`, `cache`, `debian-package`, `torchvision-mirror` or `debian-archive`."""
    label: str
    """What messages call it."""
    open: Callable[[], AbstractContextManager[Read]]
    is_remote: bool = False
    """Whether its files are to be kept in the cache."""


def folder_source(folder: Path, *, origin: str, label: str) -> Source:
    """A folder with files NAME.gz or NAME."""
    return Source(origin=origin, label=f"{label} {folder}", open=partial(_open_folder, folder))


@contextmanager
def _open_folder(folder: Path) -> Generator[Read, None, None]:
    if not folder.is_dir():
        raise SourceError("isn't a folder" if folder.exists() else "there is no such folder")
    yield partial(read_from_folder, folder)


def read_from_folder(folder: Path, file: IdxFile) -> tuple[str, bytes]:
    """Path and bytes of NAME.gz or else NAME in `folder`; no more is read than such a file can hold."""
    for path in (folder / f"{file.name}.gz", folder / file.name):
        try:
            return str(path), read_regular(path, file.size_bytes + COMPRESSION_SLACK_BYTES)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise DataFileError(str(path), "a regular file that can be read", str(error)) from error
    raise MissingFileError(str(folder / file.name), "this file or its .gz", "no such file")
