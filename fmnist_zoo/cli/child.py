"""Work with models in a process of its own: whatever one does there is an error in a sentence here, and no more."""

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
"""For what is asked of the process: to build and count one of timm's largest models takes a busy machine a while."""
LOOK_S = 0.5
"""How often to see whether it still lives: a process that a model has forked off may keep the pipe open."""
MARK = "FMNIST_ZOO_CHILD"
"""The environment variable by which all that a model starts is found again."""


class ModelFailedError(RuntimeError):
    """What a model did wrong, or how it ended its process."""


class ModelProcess:
    """A process that calls functions, started when the first is called and replaced when it has died; a context.

    Args:
        plugin: files that register further models.
        limit_s: for each call.

    Attributes:
        limit_s: as it was given; it may be changed at any time.
        warnings: what is worth knowing though nothing failed.
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
        """The models of a selection, all registered ones where it is empty.

        Raises:
            ValueError: nothing is selected, or a plug-in file can't be imported. An installed one is left out then.
        """
        while True:
            try:
                return self.call(_selected, tuple(patterns))
            except ModelFailedError as error:
                what = f"plug-in {self._loading}" if self._loading else "models"
                if not self._loading or Path(self._loading).is_absolute() or self._loading in self._leave_out:
                    raise ValueError(f"{what} can't be imported: {error}") from error
                self._leave_out.append(self._loading)
                self.warnings.append(f"the installed plug-in {self._loading} is left out: {error}")

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the function returns there.

        Raises:
            ValueError: as it raised there.
            ModelFailedError: it raised something else, or the process died or had to be ended.
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
                raise ModelFailedError(f"not done after {self.limit_s:g} s")
        return self._pipe.recv()

    def _start(self) -> None:
        context, self._mark = multiprocessing.get_context("spawn"), secrets.token_hex(16)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        ensure_running()  # Python's own helper, which is none of the model's
        os.environ[MARK] = self._mark
        self._process.start()
        del os.environ[MARK]
        theirs.close()

    def _end(self) -> int | None:
        """End the process with all that it has started; its exit code where it had ended before."""
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
        return "its process stopped answering"
    if code < 0:
        return f"its process was killed by signal {-code} ({signal.Signals(-code).name})"
    return f"its process ended with exit code {code}"


_PIPES: list[Connection] = []
"""The process's own, of which nothing else of it may write."""


def _serve(pipe: Connection) -> None:
    """What models print goes nowhere, and who asks for input gets none."""
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
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a model does wrong
        return "failed", ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))


def _load(plugin: Sequence[Path], leave_out: Sequence[str]) -> list[str]:
    """Load all models but those of some installed plug-ins; returns warnings."""
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
