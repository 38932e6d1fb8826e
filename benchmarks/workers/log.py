"""What a worker prints: its last lines are kept, however much it is."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import wait

LINES = 40
LINE_CHARACTERS = 500
KEPT_BYTES = LINES * LINE_CHARACTERS * 4
"""Of the end; nobody asks for more."""
CHUNK_BYTES = 2**16
CHUNKS = 16
"""That are read at a time: as much as Linux lets a pipe hold, so that a flood keeps nobody from looking at its end."""


class WorkerLog:
    """The reading end of a pipe that a worker, and whatever it starts, prints into.

    A file would grow until the disk is full. A thread reads, so that nobody who prints has to wait. Both ends stay open
    here, so that the pipe has no end before the log is closed.

    Attributes:
        writer: descriptor that the worker gets as its standard error.
        reader: descriptor that it is to hold as well: without anybody who could read, printing would be an error.
    """

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self._ended, self._end = os.pipe()
        self._kept, self._lock = bytearray(), threading.Lock()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """What was printed until now is of an earlier run."""
        self._read()
        with self._lock:
            self._kept.clear()

    def add(self, text: bytes) -> None:
        """Take something as printed that came another way."""
        with self._lock:
            self._keep(text)

    def tail(self) -> str:
        """The last lines since the beginning."""
        self._read()
        with self._lock:
            text = self._kept.decode("utf-8", "replace")
        return "\n".join(line[:LINE_CHARACTERS] for line in text.splitlines()[-LINES:])

    def listen(self) -> None:
        """The worker has been started and may print: from now on it is read."""
        self._thread = threading.Thread(target=self._keep_reading, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read no more; to be called when the worker has ended. A second time nothing happens."""
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
        """Read what is there, but no endless flood."""
        with self._lock:
            for _ in range(CHUNKS):
                try:
                    self._keep(os.read(self.reader, CHUNK_BYTES))
                except BlockingIOError:
                    return

    def _keep(self, text: bytes) -> None:
        self._kept += text
        del self._kept[:-KEPT_BYTES]
