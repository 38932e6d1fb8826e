"""When tables are written during a sweep: as often as that takes little of its time, and always at its end."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 10.0
"""A report is written no sooner than after so many times what the last one took: it reads every record of the folder,
and a sweep of hundreds of short runs would otherwise spend most of its time on it."""


class Reporting:
    """Keeps tables up to date. A report that fails costs no run: it is said, and tried again after the next one.

    Args:
        write: makes the tables.
        say: told what went wrong.
        clock: seconds, monotonic.

    Attributes:
        is_behind: whether the tables lack something.
    """

    def __init__(
        self, write: Callable[[], None], say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.is_behind = False
        self._write, self._say, self._clock = write, say, clock
        self._not_before: float | None = None

    def note(self) -> None:
        """There is something new; the tables have it now, or later."""
        self.is_behind = True
        if self._not_before is None or self._clock() >= self._not_before:
            self.finish()

    def finish(self) -> None:
        """Bring the tables up to date, if they are behind."""
        if not self.is_behind:
            return
        started = self._clock()
        try:
            self._write()
            self.is_behind = False
        except Exception as error:  # noqa: BLE001  # whatever it is, records are whole without tables, and runs go on
            self._say(f"the tables could not be written: {type(error).__name__}: {error}")
        ended = self._clock()
        self._not_before = ended + PAUSE * (ended - started)
