"""HTTP and subprocesses, both with time limits and replaceable in tests."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final, Protocol, runtime_checkable

from fmnist_zoo.data.catalog import DatasetSpec
from fmnist_zoo.data.errors import DataFileError, MissingFileError, SourceError
from fmnist_zoo.data.progress import Reporter

CONNECT_TIMEOUT_S: Final = 10.0
DOWNLOAD_LIMIT_S: Final = 600.0
_CHUNK_BYTES: Final = 1 << 16
_NUM_OUTPUT_LINES_SHOWN: Final = 3


@runtime_checkable
class Response(Protocol):
    """The part of `http.client.HTTPResponse` in use."""

    @property
    def length(self) -> int | None: ...

    def read1(self, n: int = ..., /) -> bytes: ...


def open_url(url: str, timeout_s: float) -> AbstractContextManager[Response]:
    """Open an HTTP(S) URL, following redirects; `timeout_s` limits the connection and each wait for more bytes.

    Redirects to other schemes are refused. Certificates are checked by urllib.

    Raises:
        SourceError: the URL is not HTTP or HTTPS.
        OSError: it can't be opened; `urllib.error.HTTPError` for an error response.
    """
    if not url.startswith(("http://", "https://")):
        raise SourceError(f"{url}: only http and https URLs are supported")
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    response: AbstractContextManager[Response] = opener.open(url, timeout=timeout_s)
    return response


def run_command(argv: Sequence[str], *, cwd: Path, timeout_s: float) -> None:
    """Run a command without a shell or terminal; on a timeout it and its child processes are killed.

    Raises:
        SourceError: it failed or timed out; includes the end of its output.
    """
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except BaseException as error:  # on Ctrl-C too: the command has its own session and would survive
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise SourceError(f"{argv[0]} took more than {timeout_s:.0f} s") from error
            raise
    if process.returncode != 0:
        ending = " | ".join(output.strip().splitlines()[-_NUM_OUTPUT_LINES_SHOWN:])
        raise SourceError(f"{argv[0]} ended with exit code {process.returncode}: {ending}")


def torchvision_mirrors(spec: DatasetSpec) -> Sequence[str]:
    """Base URLs of the mirrors known to the installed torchvision.

    Raises:
        SourceError: torchvision can't be imported.
    """
    try:  # imported late: it takes seconds and is only needed if no closer source has the files
        import torchvision.datasets
    except (ImportError, OSError, RuntimeError) as error:  # the latter two: torchvision incompatible with its torch
        raise SourceError(f"torchvision can't be imported ({error})") from error
    mirrors: Sequence[str] = getattr(torchvision.datasets, spec.torchvision_class).mirrors
    return mirrors


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """External dependencies, replaced in tests."""

    open_url: Callable[[str, float], AbstractContextManager[Response]] = open_url
    run: Callable[..., None] = run_command
    find_tool: Callable[[str], str | None] = shutil.which
    mirrors: Callable[[DatasetSpec], Sequence[str]] = torchvision_mirrors
    system_root: Path = Path("/")


def download(url: str, *, limit_bytes: int, outside: Outside, reporter: Reporter) -> bytes:
    """Download `url`, at most `limit_bytes` long.

    Raises:
        MissingFileError: the server does not have this file.
        DataFileError: the body is too long.
        SourceError: the server is unreachable, silent or too slow, so further files are not worth asking for.
    """
    try:
        return _read_body(url, limit_bytes, outside, reporter)
    except urllib.error.HTTPError as error:
        error.close()
        raise MissingFileError(url, "the file", f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: redirected to an invalid URL
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise SourceError(f"can't be reached ({reason})") from error


def _read_body(url: str, limit_bytes: int, outside: Outside, reporter: Reporter) -> bytes:
    """Read in a thread that can be abandoned.

    The library's timeout limits each wait for a byte only; a server that trickles a header or handshake, or a slow name
    lookup, would block much longer.
    """
    deadline_s, arrived = time.monotonic() + DOWNLOAD_LIMIT_S, SimpleQueue[Any]()

    def read() -> None:
        left, chunk = limit_bytes, b"-"
        try:
            with outside.open_url(url, CONNECT_TIMEOUT_S) as response:
                arrived.put(response.length)
                while chunk and left >= 0 and time.monotonic() < deadline_s:
                    chunk = response.read1(_CHUNK_BYTES)
                    left -= len(chunk)
                    arrived.put(chunk)
        except BaseException as error:  # noqa: BLE001  # raised again by the waiting thread
            arrived.put(error)

    def wait() -> Any:
        try:
            found = arrived.get(timeout=max(0.0, deadline_s - time.monotonic()))  # the last chunk is empty
        except Empty:
            raise SourceError(f"too slow: {url} was not complete after {DOWNLOAD_LIMIT_S:.0f} s") from None
        if isinstance(found, BaseException):
            raise found
        return found

    threading.Thread(target=read, daemon=True).start()
    body = bytearray()
    with reporter.download(url, wait()) as advance:
        while chunk := wait():
            body += chunk
            advance(len(chunk))
            if len(body) > limit_bytes:
                raise DataFileError(url, f"at most {limit_bytes:,} bytes", "more")
    return bytes(body)
