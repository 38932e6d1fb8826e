"""A worker's output, of which the last lines are kept."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import wait

LINES = 40
LINE_CHARACTERS = 500
KEPT_BYTES = LINES * LINE_CHARACTERS * 4
"""Size of the tail kept."""
CHUNK_BYTES = 2**16
CHUNKS = 16
"""Bytes per read: a Linux pipe's capacity, so that a flood doesn't hide its end."""


class WorkerLog:
    """Reading end of a pipe for the output of a worker and its children.

    A file could fill the disk. A thread reads, so printing never blocks. Both ends stay open here until the log is
    closed.

    Attributes:
        writer: descriptor for the worker's standard error.
        reader: descriptor the worker also holds: printing without a reader would be an error.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._ended, self._end = os.pipe()
        self._kept, self._lock = bytearray(), threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Forget output of earlier runs."""
        self._read()
        with self._lock:
            self._kept.clear()

    def add(self, text: bytes) -> None:
        """Add output that came another way."""
        with self._lock:
            self._keep(text)

    def tail(self) -> str:
        """The last lines since `begin`."""
        self._read()
        with self._lock:
            text = self._kept.decode("utf-8", "replace")
        return "\n".join(line[:LINE_CHARACTERS] for line in text.splitlines()[-LINES:])

    def listen(self) -> None:
        """Start reading, once the worker has started."""
        self._thread = threading.Thread(target=self._keep_reading, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading; call it after the worker's end. Idempotent."""
        if self.reader < 0:
            return
        os.write(self._end, b"!")
        if self._thread is not None:
            self._thread.join()
        for descriptor in (self.reader, self.writer, self._ended, self._end):
            os.close(descriptor)
        self.reader = -1  # the system gives the number to the next file that is opened

    def _keep_reading(self) -> None:
        while self._ended not in wait([self.reader, self._ended]):
            self._read()

    def _read(self) -> None:
        """Read what is available, within a limit."""
        with self._lock:
            for _ in range(CHUNKS):
                try:
                    self._keep(os.read(self.reader, CHUNK_BYTES))
                except BlockingIOError:
                    return

    def _keep(self, text: bytes) -> None:
        self._kept += text
        del self._kept[:-KEPT_BYTES]
