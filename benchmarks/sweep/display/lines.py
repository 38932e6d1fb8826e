"""Displays that write lines: JSON, one event each; plain words; and the few of --quiet."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Self, TextIO

from rich.console import Console

from benchmarks.records.record import RunRecord, plain
from benchmarks.sweep.display.base import Display, SweepEnd
from benchmarks.sweep.display.output import output_for_events, plain_console, print_line
from benchmarks.sweep.display.words import duration, epoch_words, result_line, summary, visible


class JsonDisplay(Display):
    """Events as JSON lines: to `stream`, else to standard output, which this closes to everything else when entered."""

    def __init__(self, stream: TextIO | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._console = None if stream is None else plain_console(stream)

    def __enter__(self) -> Self:
        if self._console is None:
            self._console = plain_console(self.enter_context(output_for_events()))
        return self

    def show(self, event: Mapping[str, Any]) -> None:
        assert self._console is not None, "enter the display first"
        print_line(self._console, json.dumps(plain(event), allow_nan=False))


class PlainDisplay(Display):
    """Words, a line for an event and without control codes: for a file, a pipe, a log; standard output by default."""

    def __init__(self, console: Console | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._console = console or plain_console()

    def show(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "sweep_started" if skipped := event["num_runs_skipped"]:
                self._print(f"done already: {skipped} of {skipped + event['num_runs']} runs")
            case "run_started":
                left_s = self.left_s()
                left = "" if left_s is None else f"; about {duration(left_s)} left for all runs"
                self._print(f"[{event['run_number']}/{event['num_runs']}] {self.running.name}: starting{left}")
            case "epoch":
                self._print(f"  {self.running.name}: {epoch_words(event)}")
            case "note":
                self._print(event["text"])

    def run_finished(self, record: RunRecord) -> None:
        super().run_finished(record)
        self._print(f"  {result_line(record)}")

    def sweep_finished(self, end: SweepEnd) -> None:
        self._print("")
        print_line(self._console, summary(self, end, lines=[*self.plan.skipped, *self.records]))

    def _print(self, text: str) -> None:
        print_line(self._console, visible(text))


class QuietDisplay(Display):
    """Warnings and runs that aren't ok, on standard error; and at the end how many are ok and where the tables are."""

    def __init__(self, console: Console | None = None, errors: Console | None = None) -> None:
        super().__init__()
        self._console, self._errors = console or plain_console(), errors or plain_console(sys.stderr)

    def warn(self, text: str) -> None:
        print_line(self._errors, visible(text))

    def run_finished(self, record: RunRecord) -> None:
        super().run_finished(record)
        if record.status != "ok":
            self.warn(result_line(record))

    def sweep_finished(self, end: SweepEnd) -> None:
        print_line(self._console, summary(self, end))
