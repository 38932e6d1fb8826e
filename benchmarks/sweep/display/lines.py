"""Displays that write lines: JSON, one event each; plain words; and the few of --quiet.

Words are the same in every display, with nothing in them that a terminal would act upon. Standard output may be closed
at any time, and is kept for events alone where they are asked for.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Self, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from benchmarks.records.record import RunRecord, plain
from benchmarks.sweep.display.base import Display
from fmnist_zoo.cli.output import discard

SILENT_S = 30.0
"""After so long without a line of the run, plain lines say how far it is within its epoch."""


class JsonDisplay(Display):
    """Events as JSON lines: to `stream`, else to standard output, which this closes to everything else when entered."""

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
    """Words, a line for an event and without control codes: for a file, a pipe, a log; standard output by default."""

    def __init__(self, console: Console | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._console = console or plain_console()
        self._told_at_s = self._clock()

    def show(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "sweep_started" if skipped := event["num_runs_skipped"]:
                print_lines(self._console, f"done already: {skipped} of {skipped + event['num_runs']} runs")
            case "run_started":
                left_s = self.left_s()
                left = "" if left_s is None else f"; about {duration(left_s)} left for all runs"
                number = f"[{event['run_number']}/{event['num_runs']}]"
                self._told_at_s = self._clock()
                print_lines(self._console, f"{number} {self.running.name}: starting{left}")
            case "phase" if event["phase"] == "compiling":
                self._tell_run("compiling")
            case "steps" if self._clock() - self._told_at_s >= SILENT_S:
                self._tell_run("; ".join([steps_words(event), *_left(event)]))
            case "epoch":
                self._tell_run(epoch_words(event))
            case "run_finished":
                print_lines(self._console, f"  {result_line(self.records[-1])}")
            case "note":
                print_lines(self._console, event["text"])
            case "sweep_finished":
                print_lines(self._console, "", *summary(self, event, screen_width(self._console)))

    def _tell_run(self, words: str) -> None:
        self._told_at_s = self._clock()
        print_lines(self._console, f"  {self.running.name}: {words}")


class QuietDisplay(Display):
    """What went wrong, on standard error: warnings, runs, rows at chance level. At the end, the number of good runs."""

    def __init__(self, console: Console | None = None, errors: Console | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._console, self._errors = console or plain_console(), errors or plain_console(sys.stderr)

    def show(self, event: Mapping[str, Any]) -> None:
        match event["event"]:
            case "run_finished" if event["status"] != "ok":
                self.warn(result_line(self.records[-1]))
            case "sweep_finished":
                from benchmarks.sweep.display.ending import chance_lines

                print_lines(self._errors, *chance_lines(event["rankings"]))
                print_lines(self._console, counts(self), *tables(self))

    def warn(self, text: str) -> None:
        print_lines(self._errors, text)


def steps_words(steps: Mapping[str, Any]) -> str:
    """How far a run is within an epoch, and how fast."""
    return (
        f"epoch {steps['epoch']} of {steps['num_epochs']}, step {steps['step']:,} of {steps['epoch_steps']:,}; "
        f"{figure(steps['train_img_per_s'], ',.0f')} img/s"
    )


def epoch_words(epoch: Mapping[str, Any]) -> str:
    """An epoch's event: losses and accuracies of training and validation, time so far, speed, and time left."""
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
    """A run's end: its scores, or the first line of what went wrong."""
    name, error = f"{record.variant} seed {record.seed}", (record.error or "no metrics").strip().partition("\n")[0]
    error = error.removesuffix("; its last lines:")
    if record.status != "ok" or record.metrics is None or record.throughput is None or not record.history:
        return f"{name}: {record.status}: {error}"
    return (
        f"{name}: training loss {figure(record.history[-1]['train_loss'], '.4f')}, "
        f"test loss {figure(record.metrics['test_nll'], '.4f')}, accuracy {record.metrics['test_top1_pct']:.2f}%; "
        f"{figure(record.throughput['train_img_per_s'], ',.0f')} img/s training; "
        f"{figure(record.ledger['wall_s'], '.1f')} s in all"
    )


def summary(sweep: Display, ended: Mapping[str, Any], width: int | None) -> list[str]:
    """What a sweep found, of runs done before or now: how many are ok, why others aren't, the ranking, the flags."""
    from benchmarks.sweep.display.ending import SHOWN, ending_lines, wrapped

    records = [*sweep.plan.skipped, *sweep.records]
    bad = [result_line(record) for record in records if record.status != "ok"]
    bad[SHOWN:] = [f"and {len(bad) - SHOWN} more"] if len(bad) > SHOWN else []
    told = [line for words in bad for line in wrapped(visible(words), width, "  ")]
    return [counts(sweep), *told, "", *ending_lines(ended, len(records), width), *tables(sweep)]


def counts(sweep: Display) -> str:
    """How many runs of a sweep are ok, done before or now."""
    records, left = [*sweep.plan.skipped, *sweep.records], len(sweep.runs) - len(sweep.records)
    good = sum(record.status == "ok" for record in records)
    return f"{good} of {len(records)} runs ok" + (f", {left} not done" if left else "")


def tables(sweep: Display) -> list[str]:
    """Where they are, if there are any."""
    return [f"tables: {sweep.tables}"] if sweep.plan.skipped or sweep.records else []


def figure(value: float | None, form: str) -> str:
    """A number; a dash where there is none."""
    return "-" if value is None else f"{value:{form}}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, such as `2:10:05`; a dash where it isn't known."""
    return "-" if seconds is None else str(timedelta(seconds=math.ceil(seconds)))


def visible(text: str) -> str:
    """Text with control characters, and those that turn writing around, spelled out as in a Python literal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def shortened(text: str, cells: int) -> str:
    """Without its middle where it is too long: the labels of a sweep differ at their ends."""
    tail = (cells - 1) // 2
    if cell_len(text) <= cells:
        return text
    return f"{set_cell_size(text, cells - 1 - tail)}…{set_cell_size(text[::-1], tail)[::-1]}"


class SteadyConsole(Console):
    """A console whose reader may leave (`| head`): what would be shown is dropped then, and the sweep goes on.

    Its results are the point of a sweep, and every one is in its file before it is shown. A letter that the encoding
    lacks is spelled out, and doesn't end a sweep either.
    """

    def __init__(self, stream: TextIO, **options: bool | None) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        super().__init__(file=stream, **options)  # type: ignore[arg-type]

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard(self.file)
        with contextlib.suppress(OSError):  # nobody may be there either
            print("standard output is closed; the sweep goes on", file=sys.stderr)


def print_lines(console: Console, *lines: str) -> None:
    """Show each as it is, its markup too, and break none; what a terminal would act upon is spelled out."""
    for line in lines:
        console.print(Text(visible(line)), soft_wrap=True)


def screen_width(console: Console) -> int | None:
    """The columns of a terminal; None for a file or a pipe, where no line need be broken."""
    return console.width if console.is_terminal or console.file.isatty() else None


def plain_console(stream: TextIO | None = None) -> SteadyConsole:
    """A console that never writes a control code, whatever the environment says; to standard output by default."""
    return SteadyConsole(
        stream or sys.stdout, force_terminal=False, force_interactive=False, color_system=None, no_color=True
    )


@contextlib.contextmanager
def output_for_events() -> Iterator[TextIO]:
    """Standard output for whoever enters; what anything else prints meanwhile goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)  # also what is printed from C
    try:
        with open(kept, "w", encoding="utf-8", closefd=False) as stream, contextlib.redirect_stdout(sys.stderr):
            yield stream
    finally:
        os.dup2(kept, 1)
        os.close(kept)
