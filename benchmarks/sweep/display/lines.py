"""Displays that write lines: JSON events, plain text, and --quiet.

Texts are the same in every display, without control codes. Standard output may be closed at any time; with --json it
has events only.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Self, TextIO

from rich.console import Console

from benchmarks.records.record import RunRecord, plain
from benchmarks.sweep.display.base import Display, failure_line
from fmnist_zoo.cli.output import duration, figure, output_for_events, plain_console, print_lines

SILENT_S = 30.0
"""Silence after which plain lines report progress within an epoch."""


class JsonDisplay(Display):
    """Events as JSON lines, to `stream` or else to standard output, which is then reserved for them."""

    def __init__(self, stream: TextIO | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._console = None if stream is None else plain_console(stream)

    def __enter__(self) -> Self:
        self._console = self._console or plain_console(self.enter_context(output_for_events()))
        return self

    def show(self, event: Mapping[str, Any]) -> None:
        assert self._console is not None, "enter the display first"
        print_lines(self._console, json.dumps(plain(event), allow_nan=False))


class PlainDisplay(Display):
    """One plain line per event, for files, pipes and logs; standard output by default."""

    def __init__(self, console: Console | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._console = console or plain_console()
        self._printed_at_s = self._clock()

    def show(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "sweep_started" if skipped := event["num_runs_skipped"]:
                self._print(f"already done: {skipped} of {skipped + event['num_runs']} runs")
            case "run_started":
                left_s = self.left_s()
                left = "" if left_s is None else f"; about {duration(left_s)} left in total"
                number = f"[{event['run_number']}/{event['num_runs']}]"
                self._print(f"{number} {self.running.name}: starting{left}")
            case "phase" if event["phase"] == "compiling":
                self._print(f"  {self.running.name}: compiling")
            case "steps" if self._clock() - self._printed_at_s >= SILENT_S:
                self._print(f"  {self.running.name}: {'; '.join([steps_words(event), *_left(event)])}")
            case "epoch":
                self._print(f"  {self.running.name}: {epoch_words(event)}")
            case "run_finished":
                self._print(f"  {result_line(self.records[-1])}")
            case "note":
                self._print(event["text"])
            case "sweep_finished":
                print_ending(self, self._console, event)

    def _print(self, line: str) -> None:
        self._printed_at_s = self._clock()
        print_lines(self._console, line)


class QuietDisplay(Display):
    """Warnings, failed runs and rows at chance level on standard error; at the end the number of ok runs."""

    def __init__(self, console: Console | None = None, errors: Console | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._console, self._errors = console or plain_console(), errors or plain_console(sys.stderr)

    def show(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "run_finished" if event["status"] != "ok":
                self.warn(result_line(self.records[-1]))
            case "sweep_finished":
                from benchmarks.sweep.display.ending import chance_lines, counts, tables

                print_lines(self._errors, *chance_lines(event["rankings"]))
                print_lines(self._console, counts(self), *tables(self))

    def warn(self, text: str) -> None:
        print_lines(self._errors, text)


def steps_words(steps: Mapping[str, Any]) -> str:
    """Progress within an epoch, and speed."""
    speed = "" if steps["train_img_per_s"] is None else f"; {steps['train_img_per_s']:,.0f} img/s"
    return f"epoch {steps['epoch']} of {steps['num_epochs']}, step {steps['step']:,} of {steps['epoch_steps']:,}{speed}"


def epoch_words(epoch: Mapping[str, Any]) -> str:
    """An epoch: training and validation loss and accuracy, time so far, speed, time left."""
    words = [
        f"epoch {epoch['epoch']} of {epoch['num_epochs']}",
        f"training loss {figure(epoch['train_loss'], '.4f')}, accuracy {figure(epoch['train_top1_pct'], '.2f')}%",
    ]
    if epoch["val_top1_pct"] is not None:
        words.append(f"validation loss {figure(epoch['val_loss'], '.4f')}, accuracy {epoch['val_top1_pct']:.2f}%")
    words.append(f"{epoch['train_s']:.1f} s of training, {figure(epoch['train_img_per_s'], ',.0f')} img/s")
    return "; ".join([*words, *_left(epoch)])


def _left(trained: Mapping[str, Any]) -> list[str]:
    return [f"about {duration(trained['train_left_s'])} left"] if trained["train_left_s"] else []


def result_line(record: RunRecord) -> str:
    """A run's scores, or its error."""
    if record.status != "ok" or record.metrics is None or record.throughput is None or not record.history:
        return failure_line(record)
    return (
        f"{record.variant} seed {record.seed}: training loss {figure(record.history[-1]['train_loss'], '.4f')}, "
        f"test loss {figure(record.metrics['test_nll'], '.4f')}, accuracy {record.metrics['test_top1_pct']:.2f}%; "
        f"{figure(record.throughput['train_img_per_s'], ',.0f')} img/s training; "
        f"{figure(record.ledger['wall_s'], '.1f')} s in total"
    )


def print_ending(sweep: Display, console: Console, event: Mapping[str, Any]) -> None:
    """Print the end summary, wrapped on a terminal only."""
    from benchmarks.sweep.display.ending import ending_lines

    on_terminal = console.is_terminal or console.file.isatty()
    print_lines(console, "", *ending_lines(sweep, event, console.width if on_terminal else None))
