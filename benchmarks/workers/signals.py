"""Ctrl-C, and the signals by which systems ask a program to end: once for a good end, twice for one at once."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C; what `kill`, containers and batch systems send; and the end of the terminal."""


class Interrupts:
    """Counts signals in place of what they would do, so that none can strike while a record is being written.

    A context. Whoever waits for a worker waits for `fileno` as well, and then calls `check`; between runs `came` tells.
    A signal that is ignored stays ignored, as `nohup` and background shells want it, and off the main thread, where
    Python can't take signals, everything stays as it is.

    Args:
        say: told once that the run at hand is still being finished.

    Attributes:
        count: of signals so far.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.count = 0
        self._say, self._said = say, False
        self._before: dict[signal.Signals, Any] = {}
        self._ends: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        self._ends = os.pipe()
        os.set_blocking(self._ends[0], False)
        os.set_blocking(self._ends[1], False)
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        if self._ends is not None:
            for end in self._ends:
                os.close(end)
            self._ends = None

    @property
    def came(self) -> bool:
        """Whether nothing new may be started."""
        return self.count > 0

    def fileno(self) -> int:
        """Readable once a signal has come."""
        assert self._ends is not None, "only inside the context"
        return self._ends[0]

    def check(self) -> None:
        """After a first signal say what happens now.

        Raises:
            KeyboardInterrupt: it was the second one.
        """
        assert self._ends is not None
        try:
            os.read(self._ends[0], 64)
        except BlockingIOError:
            return
        if self.count > 1:
            raise KeyboardInterrupt
        if not self._said:
            self._said = True
            self._say("stopping: the run at hand is finished first and recorded; Ctrl-C once more ends it at once")

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Nothing is printed and nothing raised here: either could strike in the middle of whatever is being done.
        self.count += 1
        if number == signal.SIGHUP:
            _let_go_of_terminal()
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):  # full: then it is readable, which is all that it is for
                os.write(self._ends[1], b"!")


def _let_go_of_terminal() -> None:
    """Standard output and error that were a terminal go nowhere: writing to one that hung up is an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
