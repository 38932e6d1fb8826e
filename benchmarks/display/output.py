"""Standard output that may be closed at any time, and standard output kept for events alone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import IO, Any, TextIO

from rich.console import Console
from rich.text import Text

from fmnist_zoo.cli.output import discard


class SteadyConsole(Console):
    """A console whose reader may leave (`| head`): what would be shown is dropped then, and the sweep goes on.

    Its results are the point of a sweep, and every one is in its file before it is shown.
    """

    def on_broken_pipe(self) -> None:
        self.quiet = True
        nobody_reads(self.file)


def print_line(console: Console, text: str) -> None:
    """Show text as it is, its markup too, and break no line of it."""
    console.print(Text(text), soft_wrap=True)


def plain_console(stream: TextIO | None = None) -> SteadyConsole:
    """A console that never writes a control code, whatever the environment says; to standard output by default."""
    stream = _forgiving(stream or sys.stdout)
    return SteadyConsole(file=stream, force_terminal=False, force_interactive=False, color_system=None, no_color=True)


def live_console() -> SteadyConsole:
    """A console on the terminal; its colors are rich's affair, which heeds NO_COLOR."""
    return SteadyConsole(file=_forgiving(sys.stdout))


def nobody_reads(stream: IO[str]) -> None:
    """Let what else is written to a broken pipe vanish, and say so once."""
    discard(stream)
    with contextlib.suppress(OSError):  # nobody may be there either
        print("standard output is closed; the sweep goes on", file=sys.stderr)


def write_json(stream: TextIO, event: Mapping[str, Any]) -> None:
    """One object, one line, at once."""
    try:
        stream.write(json.dumps(event, allow_nan=False) + "\n")
        stream.flush()
    except BrokenPipeError:
        nobody_reads(stream)


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


def _forgiving(stream: TextIO) -> TextIO:
    """A letter that the terminal's encoding lacks is spelled out, and doesn't end a sweep."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream
