"""Standard output that may be closed at any time, and standard output kept for events alone."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console
from rich.text import Text

from fmnist_zoo.cli.output import discard


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


def print_line(console: Console, text: str) -> None:
    """Show text as it is, its markup too, and break no line of it."""
    console.print(Text(text), soft_wrap=True)


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
