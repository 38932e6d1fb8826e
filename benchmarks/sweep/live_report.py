"""Tables during a sweep, written as often as is cheap and always at its end.

As a program, `python -m benchmarks.sweep.live_report OUT MACHINE`, it writes them in a separate process.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import write_report

MANY_RECORDS = 100
"""Number of records from which a separate process writes the tables: it reads all of them, and Python would not return
that memory (some 50 MiB more with 300 records than with 50) to the system."""
LIMIT_S = 300.0
"""Time limit of that process: remaining runs matter more."""
LOOK_S = 0.2
"""Seconds between checks for a signal."""
PAUSE = 10.0
"""Pause between reports as a multiple of the last one's time: a report reads every record of the folder, and would
take most of the time of a sweep of hundreds of short runs."""


class Reporting:
    """Keeps tables up to date. A failed report is announced and retried after the next run.

    Args:
        write: writes the tables.
        say: called with errors.
        clock: seconds, monotonic.

    Attributes:
        is_behind: whether the tables are out of date.
    """

    def __init__(
        self, write: Callable[[], None], say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.is_behind, self._is_broken_off = False, False
        self._write, self._say, self._clock = write, say, clock
        self._not_before: float | None = None

    def note(self) -> None:
        """Note a new result; updates the tables now or later."""
        self.is_behind = True
        if self._not_before is None or self._clock() >= self._not_before:
            self.finish()

    def finish(self) -> None:
        """Update the tables if out of date, unless interrupted before.

        Raises:
            KeyboardInterrupt: on interruption; there are no further updates.
        """
        if not self.is_behind or self._is_broken_off:
            return
        started = self._clock()
        try:
            self._write()
            self.is_behind = False
        except KeyboardInterrupt:
            self._is_broken_off = True
            raise
        except Exception as error:  # noqa: BLE001  # records are complete without tables, and the sweep continues
            self._say(f"tables not written: {type(error).__name__}: {error}")
        ended = self._clock()
        self._not_before = ended + PAUSE * (ended - started)


def write_tables(out_dir: Path, machine: str, check: Callable[[], None] = lambda: None) -> None:
    """Update tables and index, without figures; see `benchmarks.report.write_report`.

    Args:
        out_dir: the results folder.
        machine: the name of its folder there.
        check: called regularly during a separate process, which is killed if this raises.

    Raises:
        RuntimeError: that process failed (with its last line) or timed out.
    """
    if sum(1 for _ in out_dir.glob("*/runs/*.json")) < MANY_RECORDS:
        write_report(out_dir, machine, figures=False)
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.sweep.live_report", str(out_dir), machine],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # the first Ctrl-C lets it finish
    )
    try:
        error = _error_of(process, check)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    if process.returncode:
        raise RuntimeError((error.strip().splitlines() or [f"exit code {process.returncode}"])[-1])


def _error_of(process: subprocess.Popen[str], check: Callable[[], None]) -> str:
    """Error output of a process, within the time limit."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        check()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=LOOK_S)[1]
    raise RuntimeError(f"timed out after {LIMIT_S:g} s; python -m benchmarks.report writes them without a limit")


if __name__ == "__main__":
    write_report(Path(sys.argv[1]), sys.argv[2], figures=False)
