"""Plain lines, one an event, with no control codes; and the few lines of --quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Console

from benchmarks.display.base import Display
from benchmarks.display.output import plain_console, print_line
from benchmarks.display.plan import SweepEnd
from benchmarks.display.words import duration, epoch_words, result_words, summary, visible
from benchmarks.record import RunRecord
from fmnist_zoo.history import EpochStats


class PlainDisplay(Display):
    """For a file, a pipe, a log.

    Args:
        console: where; standard output if not given.
        clock: seconds, monotonic.
    """

    def __init__(self, console: Console | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(clock=clock)
        self._console = console or plain_console()

    def on_sweep_started(self) -> None:
        if skipped := self.sweep.plan.num_skipped:
            self.say(f"done already: {skipped} of {skipped + len(self.sweep.runs)} runs")

    def on_run_started(self) -> None:
        number, of = len(self.sweep.records) + 1, len(self.sweep.runs)
        left_s = self.sweep.left_s()
        left = "" if left_s is None else f"; about {duration(left_s)} left for all runs"
        self.say(f"[{number}/{of}] {self._running_name()}: starting{left}")

    def on_epoch(self, stats: EpochStats) -> None:  # noqa: ARG002
        run = self.sweep.running
        assert run is not None
        self.say(f"  {self._running_name()}: {epoch_words(run, self.sweep.run_left_s(run))}")

    def on_run_finished(self, record: RunRecord) -> None:
        self.say(f"  {record.variant} seed {record.seed}: {result_words(record)}")

    def say(self, text: str) -> None:
        print_line(self._console, visible(text))

    def sweep_finished(self, end: SweepEnd) -> None:
        print_line(self._console, "\n" + summary(self.sweep, end.machine_dir, each=self.sweep.all_records))

    def _running_name(self) -> str:
        run = self.sweep.running
        assert run is not None
        return run.planned.name


class QuietDisplay(Display):
    """Warnings and runs that aren't ok, on standard error; and at the end how many are ok and where the tables are.

    Args:
        console: for the end; standard output if not given.
        errors: for the errors; standard error if not given.
    """

    def __init__(self, console: Console | None = None, errors: Console | None = None) -> None:
        super().__init__()
        self._console, self._errors = console or plain_console(), errors or plain_console(sys.stderr)

    def on_run_finished(self, record: RunRecord) -> None:
        if record.status != "ok":
            self.warn(f"{record.variant} seed {record.seed}: {result_words(record)}")

    def warn(self, text: str) -> None:
        print_line(self._errors, visible(text))

    def sweep_finished(self, end: SweepEnd) -> None:
        print_line(self._console, summary(self.sweep, end.machine_dir, each=()))
