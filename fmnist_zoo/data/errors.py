"""Errors of loading a dataset."""

from __future__ import annotations

from collections.abc import Sequence


class DataError(Exception):
    """A dataset's files are unavailable, invalid or can't be cached; the message says which, why and how to fix it."""


class SourceError(DataError):
    """A source is unusable: unreachable, not installed, not a folder."""


class CacheWriteError(DataError):
    """The cache folder is not writable: read-only, full, below a file, or locked for too long."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)

    def __str__(self) -> str:
        path, reason = self.args
        return (
            f"can't write {path}: {reason}. Set FMNIST_ZOO_CACHE to a writable folder, or name one that already "
            "has the dataset's files with --data-dir FOLDER or FMNIST_ZOO_DATA=FOLDER"
        )


class DataFileError(DataError):
    """A file with unexpected contents. `file` (path or URL), `expected` and `found` are attributes."""

    def __init__(self, file: str, expected: str, found: str) -> None:
        super().__init__(file, expected, found)
        self.file, self.expected, self.found = file, expected, found

    def __str__(self) -> str:
        return f"{self.file}: expected {self.expected}, found {self.found}"


class MissingFileError(DataFileError):
    """A missing file."""


class DataUnavailableError(DataError):
    """No source has all the files. `attempts` holds a pair (source, problem) for each source tried."""

    def __init__(self, dataset: str, attempts: Sequence[tuple[str, str]], remedies: Sequence[str]) -> None:
        super().__init__(dataset, tuple(attempts), tuple(remedies))
        self.dataset, self.attempts, self.remedies = dataset, tuple(attempts), tuple(remedies)

    def __str__(self) -> str:
        tried = [f"  {number}. {source}: {said}" for number, (source, said) in enumerate(self.attempts, start=1)]
        remedies = [f"  - {remedy}" for remedy in self.remedies]
        return "\n".join(
            [f"dataset={self.dataset!r}: no source has all its files. Tried:", *tried, "Try one of:", *remedies]
        )
