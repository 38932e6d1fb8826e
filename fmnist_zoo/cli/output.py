"""What commands say on standard output."""

from __future__ import annotations

import os
import sys


def say(text: str) -> None:
    """Print a text; where nobody reads on (`| head`), that is no error, and the rest is left unsaid.

    See https://docs.python.org/3/library/signal.html#note-on-sigpipe.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())  # else Python complains at its end
        os.close(nowhere)
