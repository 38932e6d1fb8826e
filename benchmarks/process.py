"""The runner's side of a worker process: starting it, asking it for a run, and telling how it died."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.worker import environment

LOG_LINES = 12


class WorkerDiedError(RuntimeError):
    """The worker ended in the middle of a run; the message says how and what it printed last."""


NewWorker = Callable[[Mapping[str, str]], "Worker"]
"""Makes a worker process, given environment variables beside the usual ones; a fake in tests."""


class Worker:
    """A worker process, started at the first job. Its log goes to a temporary file.

    Args:
        num_threads: of OpenMP in it, unless a person has set another number.
        command: what is started.
        variables: further environment variables, which win over the usual ones.

    Attributes:
        import_s: seconds from starting the process until it was ready; None until then.
    """

    def __init__(
        self,
        num_threads: int,
        command: tuple[str, ...] = (sys.executable, "-m", "benchmarks.worker"),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._command = command
        self._environment = {**environment(num_threads), **(variables or {})}
        # Open for as long as the worker lives, which no `with` block spans.
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process: subprocess.Popen[str] | None = None
        self.import_s: float | None = None

    def run(self, job: Mapping[str, Any], on_event: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Have one run done. Returns its result; events before it go to `on_event`.

        Raises:
            WorkerDiedError: the process ended before the result came.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise WorkerDiedError(self._last_words()) from None
        for line in process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event.pop("event") == "done":
                return event
            on_event(event)
        raise WorkerDiedError(self._last_words())

    def log_tail(self) -> str:
        """The last lines that the process printed."""
        self._log.seek(0)
        return "\n".join(self._log.read().splitlines()[-LOG_LINES:])

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            # What it started, such as the workers of a DataLoader, holds its pipes open: communicate() would wait.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
        self._log.close()

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                encoding="utf-8",
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the runner alone, which then ends the worker in good order
            )
            assert self._process.stdout is not None
            if not self._process.stdout.readline():
                raise WorkerDiedError(self._last_words())
            self.import_s = time.perf_counter() - started
        return self._process

    def _last_words(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = " (the system's out-of-memory killer uses this signal)" if code == -9 else ""
        return f"the worker process {how}{hint}; its last lines:\n{self.log_tail()}"
