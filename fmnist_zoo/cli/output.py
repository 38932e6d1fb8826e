"""What commands say on standard output."""

from __future__ import annotations

import os
import sys
from typing import IO


def say(text: str) -> None:
    """Print a text; where nobody reads on (`| head`), that is no error, and the rest is left unsaid."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard(sys.stdout)


def discard(stream: IO[str]) -> None:
    """Let what else is written to a broken pipe vanish, also at Python's own end.

    See https://docs.python.org/3/library/signal.html#note-on-sigpipe.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
