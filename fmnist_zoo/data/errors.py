"""What can go wrong between a dataset's name and its tensors."""

from __future__ import annotations

from collections.abc import Sequence


class DataError(Exception):
    """A dataset's files can't be had, can't be trusted or can't be kept; the message says which, why and what helps."""


class SourceError(DataError):
    """A place that files could come from is of no use at all: unreachable, not installed, not a folder."""


class CacheWriteError(DataError):
    """The cache folder can't be written: read-only, full, below a file, or locked for too long."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)

    def __str__(self) -> str:
        path, reason = self.args
        return (
            f"can't write {path}: {reason}. Name a folder that can be written with FMNIST_ZOO_CACHE=FOLDER, or one "
            "that has the dataset's files already with --data-dir FOLDER or FMNIST_ZOO_DATA=FOLDER"
        )


class DataFileError(DataError):
    """One file isn't what it should be. `file` (path or URL), `expected` and `found` are attributes."""

    def __init__(self, file: str, expected: str, found: str) -> None:
        super().__init__(file, expected, found)
        self.file, self.expected, self.found = file, expected, found

    def __str__(self) -> str:
        return f"{self.file}: expected {self.expected}, found {self.found}"


class MissingFileError(DataFileError):
    """A file isn't there."""


class DataUnavailableError(DataError):
    """No source has all the files. `attempts` holds a pair (source, what it said) for each source tried."""

    def __init__(self, dataset: str, attempts: Sequence[tuple[str, str]], remedies: Sequence[str]) -> None:
        super().__init__(dataset, tuple(attempts), tuple(remedies))
        self.dataset, self.attempts, self.remedies = dataset, tuple(attempts), tuple(remedies)

    def __str__(self) -> str:
        tried = [f"  {number}. {source}: {said}" for number, (source, said) in enumerate(self.attempts, start=1)]
        remedies = [f"  - {remedy}" for remedy in self.remedies]
        return "\n".join([f"dataset={self.dataset!r}: its files can't be had. Tried:", *tried, "Either of:", *remedies])
