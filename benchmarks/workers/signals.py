"""Ctrl-C and termination signals: the first stops after the current run, the second at once."""

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
"""Ctrl-C; termination by `kill`, containers and batch systems; hang-up of the terminal."""


class Interrupts:
    """Context manager that counts signals instead of acting on them, so that none interrupts writing a record.

    Waiting for a worker includes waiting for `fileno`, then calling `check`; between runs, test `requested`. Ignored
    signals stay ignored, for `nohup` and background shells. No effect off the main thread, where Python can't handle
    signals.

    Args:
        say: called once when the current run is being finished.

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
    def requested(self) -> bool:
        """Whether to stop: start nothing new."""
        return self.count > 0

    def fileno(self) -> int:
        """Descriptor that is readable after a signal."""
        assert self._ends is not None, "only inside the context"
        return self._ends[0]

    def check(self) -> None:
        """Announce the stop after a first signal.

        Raises:
            KeyboardInterrupt: after the second signal.
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
            self._say("stopping after the current run, which will be recorded; Ctrl-C again to stop now")

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # No printing or raising here: either could interrupt anything.
        self.count += 1
        if number == signal.SIGHUP:
            _let_go_of_terminal()
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):  # full means readable, which is all it needs
                os.write(self._ends[1], b"!")


def _let_go_of_terminal() -> None:
    """Redirect output from a terminal to nowhere: writing to one that hung up is an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if stat.S_ISCHR(os.fstat(descriptor).st_mode):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
