"""When tables are written during a sweep, as often as that takes little of its time and always at its end, and where.

As a program, `python -m benchmarks.sweep.live_report OUT MACHINE`, it writes them in a process apart from the sweep's.
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
"""From so many on, tables are made in a process of their own. It reads all of them, and what that takes of memory, some
50 MiB more with 300 records than with 50, Python would not give back to the system."""
LIMIT_S = 300.0
"""For that process: the runs that are still to be done matter more."""
LOOK_S = 0.2
"""How often to see whether a signal has come that ends it."""
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
        self.is_behind, self._is_broken_off = False, False
        self._write, self._say, self._clock = write, say, clock
        self._not_before: float | None = None

    def note(self) -> None:
        """There is something new; the tables have it now, or later."""
        self.is_behind = True
        if self._not_before is None or self._clock() >= self._not_before:
            self.finish()

    def finish(self) -> None:
        """Bring the tables up to date, if they are behind and nobody has broken that off.

        Raises:
            KeyboardInterrupt: somebody does; from then on they stay as they are.
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
        except Exception as error:  # noqa: BLE001  # whatever it is, records are whole without tables, and runs go on
            self._say(f"tables not written: {type(error).__name__}: {error}")
        ended = self._clock()
        self._not_before = ended + PAUSE * (ended - started)


def write_tables(out_dir: Path, machine: str, check: Callable[[], None] = lambda: None) -> None:
    """Bring tables and index up to date, without figures; see `benchmarks.report.write_report`.

    Args:
        out_dir: the results folder.
        machine: the name of its folder there.
        check: called now and then while a process of its own does it; that process ends with what this raises.

    Raises:
        RuntimeError: that process failed, and the last line says why, or took too long.
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
    """What a process that has ended in time printed."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        check()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=LOOK_S)[1]
    raise RuntimeError(f"timed out after {LIMIT_S:g} s; python -m benchmarks.report writes them without a limit")


if __name__ == "__main__":
    write_report(Path(sys.argv[1]), sys.argv[2], figures=False)
