"""Models in a child process, so that nothing they do is worse than an error message here."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from typing import Any, Self

import psutil

LIMIT_S = 120.0
"""Time limit of a call: building and counting one of timm's largest models takes a while on a busy machine."""
LOOK_S = 0.5
"""Seconds between checks that it is alive: a process forked by a model may keep the pipe open."""
ERROR_CHARACTERS = 4000
"""Of a longer error, only the beginning is kept."""
MARK = "FMNIST_ZOO_CHILD"
"""Environment variable that marks every process a model starts."""


class ModelFailedError(RuntimeError):
    """A model failed, or its process died."""


class ModelProcess:
    """Calls functions in a child process, started at the first call and replaced if it died; a context manager.

    Args:
        plugin: files that register more models.
        limit_s: time limit of a call.

    Attributes:
        limit_s: as given; may be changed at any time.
        warnings: such as skipped plug-ins.
    """

    def __init__(self, plugin: Sequence[Path] = (), *, limit_s: float = LIMIT_S) -> None:
        self.warnings: list[str] = []
        self._plugin, self._leave_out, self.limit_s = [path.absolute() for path in plugin], list[str](), limit_s
        self._process: multiprocessing.process.BaseProcess | None = None
        self._loading = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def selected(self, patterns: Sequence[str]) -> list[str]:
        """Names selected by patterns; all registered models if there are none.

        Raises:
            ValueError: nothing is selected, or a plug-in file can't be imported (an installed one is skipped).
        """
        while True:
            try:
                return self.call(_selected, tuple(patterns))
            except ModelFailedError as error:
                what = f"plug-in {self._loading}" if self._loading else "models"
                if not self._loading or Path(self._loading).is_absolute() or self._loading in self._leave_out:
                    raise ValueError(f"{what} can't be imported: {error}") from error
                self._leave_out.append(self._loading)
                self.warnings.append(f"skipping installed plug-in {self._loading}: {error}")

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the process and return its result.

        Raises:
            ValueError: raised by the function.
            ModelFailedError: it raised something else, or the process died or timed out.
        """
        if self._process is None:
            self._start()
            self.warnings += self.call(_load, self._plugin, self._leave_out)
        deadline = time.monotonic() + self.limit_s
        try:
            self._pipe.send((function, arguments))
            while (answer := self._answer(deadline))[0] == "loading":
                self._loading = answer[1]
        except (EOFError, OSError):
            assert self._process is not None
            self._process.join(LOOK_S)
            raise ModelFailedError(_how(self._end())) from None
        kind, value = answer
        if kind == "refused":
            raise ValueError(value)
        if kind == "failed":
            raise ModelFailedError(value)
        return value

    def _answer(self, deadline: float) -> tuple[str, Any]:
        assert self._process is not None
        while not self._pipe.poll(LOOK_S):
            if not self._process.is_alive() and not self._pipe.poll():
                raise EOFError
            if time.monotonic() > deadline:
                self._end()
                raise ModelFailedError(f"timed out after {self.limit_s:g} s")
        return self._pipe.recv()

    def _start(self) -> None:
        context, self._mark = multiprocessing.get_context("spawn"), secrets.token_hex(16)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        ensure_running()  # Python's own helper, not to be marked as the model's
        os.environ[MARK] = self._mark
        self._process.start()
        del os.environ[MARK]
        theirs.close()

    def _end(self) -> int | None:
        """Kill the process and all it started; returns its exit code if it had already ended."""
        if self._process is None:
            return None
        code = self._process.exitcode
        self._process.kill()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK) == self._mark:
                    process.kill()
        self._process.join()
        self._pipe.close()
        self._process = None
        return code


def _how(code: int | None) -> str:
    if code is None:
        return "its process stopped responding"
    if code < 0:
        return f"its process was killed by signal {-code} ({signal.Signals(-code).name})"
    return f"its process ended with exit code {code}"


_PIPES: list[Connection] = []
"""The child's end, which nothing else in that process may write to."""


def _serve(pipe: Connection) -> None:
    """Serve calls; models' output is discarded, and their input is empty."""
    nothing, owner = os.open(os.devnull, os.O_RDWR), os.getpid()
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    _PIPES.append(pipe)
    with contextlib.suppress(EOFError):
        while True:
            function, arguments = pipe.recv()
            answer = _called(function, arguments)
            if os.getpid() != owner:
                os._exit(1)  # a copy that a model has forked off
            pipe.send(answer)


def _called(function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[str, Any]:
    from fmnist_zoo.data.errors import DataError

    try:
        return "ok", function(*arguments)
    except (ValueError, DataError) as error:
        return "refused", str(error)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a model may raise anything
        return "failed", ": ".join(
            filter(None, (type(error).__name__, " ".join(str(error).split())[:ERROR_CHARACTERS]))
        )


def _load(plugin: Sequence[Path], leave_out: Sequence[str]) -> list[str]:
    """Load all models except those of the given installed plug-ins; returns warnings."""
    import warnings

    from fmnist_zoo.registry import load_models, load_plugin

    def say(name: str) -> None:
        _PIPES[-1].send(("loading", name))

    with warnings.catch_warnings(record=True) as caught:
        load_models(leave_out=leave_out, say=say)
    for path in plugin:
        say(str(path))
        load_plugin(path)
    return [str(warning.message) for warning in caught]


def _selected(patterns: Sequence[str]) -> list[str]:
    from fmnist_zoo.registry import list_models, select_models

    return select_models(patterns) if patterns else list_models()
