"""The runner's side of a worker process: start it, send jobs, report how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import wait
from typing import Any, Literal, Protocol

from benchmarks.workers.log import WorkerLog
from benchmarks.workers.process_tree import MARK, end_tree, oom_kills
from benchmarks.workers.server import PARK, STACK_SIGNAL, environment
from benchmarks.workers.signals import Interrupts

CHUNK_BYTES = 2**16
LOOK_S = 1.0
"""Seconds between checks that the process is alive: a forked child may keep its pipe open."""
END_S = 10.0
"""Wait for a process that closed its pipe to exit: on a busy machine its last output takes a while."""
STACK_S = 1.0
"""Wait for a hanging process to dump its stack."""
LINE_BYTES = 2**26
"""Longest answer. What a model prints in its place, without an end of line, isn't kept."""
PARK_S = 60.0
"""Time limit for a worker to free memory, which takes a fraction of a second."""


class WorkerDiedError(RuntimeError):
    """The worker died or was stopped during a run; the message says how, with its last output.

    Attributes:
        status: of the run: `timeout`, `oom` if killed for its memory, else `failed`.
    """

    def __init__(self, message: str, status: Literal["failed", "oom", "timeout"] = "failed") -> None:
        super().__init__(message)
        self.status = status


class _OverdueError(Exception):
    """A deadline has passed."""


OnEvent = Callable[[dict[str, Any]], None]
"""Called with each event before a job's result."""


class Serving(Protocol):
    """Interface of `Worker` and its substitutes; see there."""

    import_s: float | None

    def run(self, job: Mapping[str, Any], on_event: OnEvent, *, timeout_s: float | None = None) -> dict[str, Any]: ...

    def park(self) -> None: ...

    def lives(self) -> bool: ...

    def close(self) -> None: ...


NewWorker = Callable[[Mapping[str, str]], Serving]
"""Creates a worker process with extra environment variables; a fake in tests."""


def serving(workload: str, *arguments: str) -> tuple[str, ...]:
    """Command of a worker that instantiates `MODULE:CLASS` with these arguments."""
    return (sys.executable, "-m", "benchmarks.workers.server", workload, *arguments)


class Worker:
    """A worker process, started at the first job; the last lines of its log are kept.

    Args:
        num_threads: OpenMP threads, unless set by the user; default: physical cores.
        command: see `serving`.
        variables: extra environment variables, which override the usual ones.
        interrupts: checked while waiting, if signals are counted instead of raised.

    Attributes:
        import_s: seconds the last job waited for the process to start: 0 if it was running, None if it never was
            ready.
    """

    def __init__(
        self,
        num_threads: int | None = None,
        *,
        command: tuple[str, ...],
        variables: Mapping[str, str] | None = None,
        interrupts: Interrupts | None = None,
    ) -> None:
        self._command = command
        self._mark = secrets.token_hex(16)
        self._environment = {**environment(num_threads), **(variables or {}), MARK: self._mark}
        self._log = WorkerLog()
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = bytearray()
        self._token: str | None = None
        self._interrupts = interrupts
        self._kills_before: int | None = None
        self.import_s: float | None = None

    def run(self, job: Mapping[str, Any], on_event: OnEvent, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Run one job and return its result, with the last lines of output if it failed.

        Args:
            job: JSON values.
            on_event: called with each event before the result.
            timeout_s: time limit, including the start of the process.

        Raises:
            WorkerDiedError: the process died before the result or was stopped.
            KeyboardInterrupt: after a second signal.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._log.begin()
        self._kills_before = oom_kills()
        self.import_s = None if self._process is None else 0.0
        try:
            process = self._started(deadline)
            assert process.stdin is not None
            self._token = secrets.token_hex(8)  # an answer has it: a model may print what looks like one
            request = {"token": self._token, "job": job}
            with contextlib.suppress(BrokenPipeError):  # its death is noticed while waiting for the answer
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
            while (event := self._next_event(deadline)) is not None:
                if event.pop("event") == "done":
                    if event.get("status") in ("failed", "oom") and (tail := self.log_tail()):
                        event["error"] = f"{event.get('error')}; its last lines:\n{tail}"
                    return event
                on_event(event)
        except _OverdueError:
            raise WorkerDiedError(self._overdue(timeout_s), "timeout") from None
        raise self._death()

    def log_tail(self) -> str:
        """Last lines printed since the last job was sent."""
        return self._log.tail()

    def park(self) -> None:
        """Make the process free memory before it idles. WorkerDiedError if it can't."""
        self.run(PARK, lambda event: None, timeout_s=PARK_S)

    def lives(self) -> bool:
        """Whether the process is alive, or not started yet."""
        return self._process is None or self._process.poll() is None

    def close(self) -> None:
        """Kill the process and everything it started."""
        if self._process is not None:
            end_tree(self._process, self._mark)
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            self._process = None
        self._log.close()

    def _started(self, deadline: float | None) -> subprocess.Popen[bytes]:
        if self._process is None:
            started = time.perf_counter()
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log.writer,
                pass_fds=(self._log.reader,),
                env=self._environment,
                start_new_session=True,  # Ctrl-C reaches the runner only, which then ends the worker in order
            )
            self._log.listen()
            if self._next_event(deadline) is None:
                raise self._death()
            self.import_s = time.perf_counter() - started
        return self._process

    def _next_event(self, deadline: float | None) -> dict[str, Any] | None:
        """The next event; None if the process ended. Other lines are added to the log."""
        while (line := self._next_line(deadline)) is not None:
            with contextlib.suppress(ValueError, RecursionError):
                event = json.loads(line)
                is_event = isinstance(event, dict) and isinstance(event.get("event"), str)
                if is_event and event.pop("token", None) == self._token:
                    return event
            if line:
                self._log.add(line + b"\n")
        return None

    def _next_line(self, deadline: float | None) -> bytes | None:
        assert self._process is not None and self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        watched = [pipe] if self._interrupts is None else [pipe, self._interrupts.fileno()]
        searched = 0
        while (end := self._unread.find(b"\n", searched)) < 0:
            if len(self._unread) > LINE_BYTES:
                self._log.add(bytes(self._unread))
                self._unread.clear()
            searched = len(self._unread)
            left_s = LOOK_S if deadline is None else min(LOOK_S, deadline - time.monotonic())
            if left_s <= 0:
                raise _OverdueError
            ready = wait(watched, left_s)
            if self._interrupts is not None:
                self._interrupts.check()
            if pipe in ready:
                chunk = os.read(pipe, CHUNK_BYTES)
                if not chunk:
                    return None
                self._unread += chunk
            elif not ready and self._process.poll() is not None:
                return None
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line

    def _overdue(self, timeout_s: float | None) -> str:
        """Kill an overdue process; returns the error, with its stack."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(STACK_SIGNAL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STACK_S)
        end_tree(self._process, self._mark)
        return f"run stopped after the time limit of {timeout_s:g} s; its last lines:\n{self.log_tail()}"

    def _death(self) -> WorkerDiedError:
        assert self._process is not None
        try:
            code = self._process.wait(END_S)
        except subprocess.TimeoutExpired:  # it closed its pipe but is alive: unreachable
            end_tree(self._process, self._mark)
            return WorkerDiedError(f"the worker process stopped responding; its last lines:\n{self.log_tail()}")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        status: Literal["failed", "oom"] = "failed"
        if code == -signal.SIGKILL:
            before, now = self._kills_before, oom_kills()
            if before is None or now is None:
                status, hint = "oom", "the system's out-of-memory killer uses this signal"
            elif now > before:
                status, hint = "oom", "by the system's out-of-memory killer"
            else:
                hint = "not by the system's out-of-memory killer, by its own count"
            how = f"{how} ({hint})"
        return WorkerDiedError(f"the worker process {how}; its last lines:\n{self.log_tail()}", status)
