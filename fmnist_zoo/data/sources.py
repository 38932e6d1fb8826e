"""Sources of a dataset's files. Imports no torch, except to list torchvision's mirrors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fmnist_zoo.data.cache import write_atomic
from fmnist_zoo.data.catalog import DatasetSpec, IdxFile
from fmnist_zoo.data.download import Outside
from fmnist_zoo.data.errors import DataFileError, DataUnavailableError, MissingFileError, SourceError
from fmnist_zoo.data.idx import IdxContent, read_idx
from fmnist_zoo.data.progress import Reporter
from fmnist_zoo.data.remote import debian_source, mirror_sources
from fmnist_zoo.data.source import Source, folder_source, read_from_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Files:
    """A dataset's four verified files and their `Source.origin`."""

    contents: Mapping[IdxFile, IdxContent]
    origin: str


def read_folder(spec: DatasetSpec, folder: Path) -> Files:
    """The four files of a user's folder, all valid.

    Raises:
        SourceError: not a folder, or unreadable.
        DataFileError: a file is missing, damaged or another dataset's.
    """
    try:
        folder = folder.expanduser()
        problem = None if folder.is_dir() else "isn't a folder" if folder.exists() else "doesn't exist"
    except (OSError, RuntimeError) as error:  # RuntimeError: it starts with the home folder of an unknown user
        problem = f"can't be read ({error})"
    if problem:
        raise SourceError(f"data folder {folder} {problem}; name one that holds {_names(spec)}")
    contents = {}
    for file in spec.files:
        path, raw = read_from_folder(folder, file)
        contents[file] = read_idx(raw, file, path=path)
    return Files(contents=contents, origin="folder")


def fetch(spec: DatasetSpec, cache: Path, sources: Iterable[Source]) -> Files:
    """The four files, each from the first source with a valid one; remote ones are kept in `cache`.

    The caller holds the lock of `cache`.

    Raises:
        DataUnavailableError: a file is in no source.
        CacheWriteError: a downloaded file can't be cached.
    """
    contents: dict[IdxFile, IdxContent] = {}
    origins: list[str] = []
    attempts: list[tuple[str, str]] = []
    for source in sources:
        wanted = [file for file in spec.files if file not in contents]
        if not wanted:
            break

        def keep(file: IdxFile, raw: bytes, content: IdxContent, source: Source = source) -> None:
            if source.is_remote:
                write_atomic(cache / f"{file.name}.gz", raw)
            contents[file] = content
            origins.append(source.origin)

        attempts.append((source.label, "; ".join(_ask(source, wanted, keep))))
    if len(contents) < len(spec.files):
        raise DataUnavailableError(spec.name, attempts, _remedies(spec))
    return Files(contents=contents, origin=" + ".join(dict.fromkeys(origins)))


def default_sources(
    spec: DatasetSpec, cache: Path, *, reporter: Reporter, outside: Outside | None = None
) -> Iterator[Source]:
    """All sources, nearest first; lazy, since listing the mirrors imports torchvision."""
    outside = outside or Outside()
    yield folder_source(cache, origin="cache", label="cache folder")
    if spec.debian is not None:
        folder = outside.system_root / spec.debian.folder
        yield folder_source(folder, origin="debian-package", label=f"Debian's package {spec.debian.package},")
    yield from mirror_sources(spec, reporter=reporter, outside=outside)
    if spec.debian is not None:
        yield debian_source(spec.debian, reporter=reporter, outside=outside)


def _ask(source: Source, wanted: list[IdxFile], keep: Callable[[IdxFile, bytes, IdxContent], None]) -> list[str]:
    """Get files from one source and `keep` the valid ones; returns the problems with the others."""
    said: list[str] = []
    missing: list[MissingFileError] = []
    try:
        with source.open() as read:
            for file in wanted:
                try:
                    path, raw = read(file)
                    content = read_idx(raw, file, path=path)
                except MissingFileError as error:
                    missing.append(error)
                except DataFileError as error:
                    said.append(str(error))
                    logger.warning("%s; trying other sources", error)
                else:
                    keep(file, raw, content)
    except (SourceError, OSError) as error:
        said.append(str(error))
    if missing and len(missing) == len(wanted):
        return [f"none of {len(wanted)} files ({missing[0].found})"]
    return [*map(str, missing), *said]


def _names(spec: DatasetSpec) -> str:
    return ", ".join(file.name for file in spec.files) + " (each plain or as .gz)"


def _remedies(spec: DatasetSpec) -> list[str]:
    folder = f"put {_names(spec)} into a folder and name it: --data-dir FOLDER or FMNIST_ZOO_DATA=FOLDER"
    if spec.debian is not None:
        return [folder, f"on Debian or Ubuntu: sudo apt-get install {spec.debian.package}"]
    return [folder, "run this once on a machine with a network and copy its cache folder here"]
