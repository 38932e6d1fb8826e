"""Sources of files, and the simplest one: a folder."""

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
"""Largest excess of a .gz over its content: incompressible data grows by far less."""

Read = Callable[[IdxFile], tuple[str, bytes]]
"""Returns a file's path or URL and its unverified bytes, compressed or not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A place to get files from. `open` prepares it if needed and returns the function that reads from it.

    Raises (from `open` and the function it returns):
        SourceError: the source is unusable; don't try it again.
        DataFileError: it can't provide this file.
    """

    origin: str
    """For records: `folder`, `cache`, `debian-package`, `torchvision-mirror` or `debian-archive`."""
    label: str
    """Name for messages."""
    open: Callable[[], AbstractContextManager[Read]]
    is_remote: bool = False
    """Whether to cache its files."""


def folder_source(folder: Path, *, origin: str, label: str) -> Source:
    """A folder with files NAME.gz or NAME."""
    return Source(origin=origin, label=f"{label} {folder}", open=partial(_open_folder, folder))


@contextmanager
def _open_folder(folder: Path) -> Generator[Read, None, None]:
    if not folder.is_dir():
        raise SourceError("isn't a folder" if folder.exists() else "there is no such folder")
    yield partial(read_from_folder, folder)


def read_from_folder(folder: Path, file: IdxFile) -> tuple[str, bytes]:
    """Path and bytes of NAME.gz, else NAME, in `folder`; reading is limited to the size such a file can have."""
    for path in (folder / f"{file.name}.gz", folder / file.name):
        try:
            return str(path), read_regular(path, file.size_bytes + COMPRESSION_SLACK_BYTES)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            raise DataFileError(str(path), "a regular file that can be read", str(error)) from error
    raise MissingFileError(str(folder / file.name), "this file or its .gz (all four are needed)", "no such file")
