"""Results survive disk errors: writes are retried, else go elsewhere, else are printed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.records.record import plain
from fmnist_zoo.data.cache import cache_root

if TYPE_CHECKING:
    from benchmarks.records.arms import ArmsRecord
    from benchmarks.records.record import RunRecord

DELAYS_S = (0.25, 0.5, 1.0, 2.0)
"""Delays between attempts, to outlast short network or quota problems."""
PREFIX = "fmnist-zoo-unsaved-"


class Safekeeping:
    """Writes results into a machine's folder, with fallbacks.

    Args:
        out_dir: the results folder.
        machine: the name of its folder there.
        say: called with the problem and the result's location.
        sleep: waits, in seconds.

    Attributes:
        all_in_place: whether every result is in its place.
    """

    def __init__(
        self, out_dir: Path, machine: str, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.all_in_place = True
        self._machine_dir, self._say, self._sleep = out_dir.absolute() / machine, say, sleep
        self._folder: Path | None = None

    def keep(self, record: RunRecord | ArmsRecord, write: Callable[[Path], Path]) -> bool:
        """Write a result; returns whether it is in its place.

        Args:
            record: the result.
            write: writes it into a folder laid out like a machine's and returns the file.

        Raises:
            ValueError: from `write`.
        """
        fault = self._fault_of(write)
        if fault is None:
            return True
        self.all_in_place = False
        if (path := self._elsewhere(write)) is not None:
            self._say(f"a result {fault}; saved to {path} instead, move it to {self._machine_dir / path.parent.name}")
        else:
            text = json.dumps(plain(dataclasses.asdict(record)), sort_keys=True)
            self._say(f"a result {fault}; no other folder is writable either, so here it is: {text}")
        return False

    def _fault_of(self, write: Callable[[Path], Path]) -> str | None:
        """The first error, if all attempts fail."""
        first = ""
        for delay_s in (*DELAYS_S, None):
            try:
                write(self._machine_dir)
            except OSError as error:
                first = first or str(error)
            else:
                return None
            if delay_s is not None:
                self._sleep(delay_s)
        return f"could not be written in {len(DELAYS_S) + 1} attempts: {first}"

    def _elsewhere(self, write: Callable[[Path], Path]) -> Path | None:
        for folder in self._places():
            try:
                path = write(folder)
            except OSError:
                if folder != self._folder:
                    shutil.rmtree(folder, ignore_errors=True)
            else:
                self._folder = folder
                return path
        return None

    def _places(self) -> Iterator[Path]:
        """The fallback folder in use, then new private ones."""
        if self._folder is not None:
            yield self._folder
        for parent in (lambda: self._machine_dir.parent.parent, cache_root, lambda: Path(tempfile.gettempdir())):
            with suppress(OSError):
                yield Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent()))
