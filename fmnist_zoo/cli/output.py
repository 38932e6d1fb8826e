"""Standard output of commands."""

from __future__ import annotations

import contextlib
import io
import math
import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import IO, TextIO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text


def say(text: str) -> None:
    """Print a text; a closed pipe (`| head`) is not an error."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard(sys.stdout)


def discard(stream: IO[str]) -> None:
    """Discard further writes to a broken pipe, including Python's flush at exit.

    See https://docs.python.org/3/library/signal.html#note-on-sigpipe.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def figure(value: float | None, form: str) -> str:
    """A formatted number; a dash for None."""
    return "-" if value is None else f"{value:{form}}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, such as `2:10:05`; a dash if unknown."""
    return "-" if seconds is None else str(timedelta(seconds=math.ceil(seconds)))


def visible(text: str) -> str:
    """Text with control and bidirectional characters escaped as in a Python literal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def shortened(text: str, cells: int) -> str:
    """Text cut in the middle if too long: the labels of a sweep differ at their ends."""
    tail = (cells - 1) // 2
    if cell_len(text) <= cells:
        return text
    return f"{set_cell_size(text, cells - 1 - tail)}…{set_cell_size(text[::-1], tail)[::-1]}"


class SteadyConsole(Console):
    """A console whose reader may leave (`| head`): further output is dropped and the sweep continues.

    Each result is in its file before it is shown, so nothing is lost. Characters missing from the encoding are escaped.
    """

    def __init__(self, stream: TextIO, **options: bool | None) -> None:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        super().__init__(file=stream, **options)  # type: ignore[arg-type]

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard(self.file)
        with contextlib.suppress(OSError):  # standard error may be closed too
            print("standard output was closed; the sweep continues", file=sys.stderr)


def print_lines(console: Console, *lines: str) -> None:
    """Print lines verbatim, unwrapped and without markup; control characters are escaped."""
    for line in lines:
        console.print(Text(visible(line)), soft_wrap=True)


def plain_console(stream: TextIO | None = None) -> SteadyConsole:
    """A console without control codes, whatever the environment says; standard output by default."""
    return SteadyConsole(
        stream or sys.stdout, force_terminal=False, force_interactive=False, color_system=None, no_color=True
    )


@contextlib.contextmanager
def output_for_events() -> Iterator[TextIO]:
    """Reserve standard output for events; everything else printed meanwhile goes to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)  # also what is printed from C
    try:
        with open(kept, "w", encoding="utf-8", closefd=False) as stream, contextlib.redirect_stdout(sys.stderr):
            yield stream
    finally:
        os.dup2(kept, 1)
        os.close(kept)
