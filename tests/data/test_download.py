"""The ways out of the process end in bounded time and leave nothing running."""

import io
import os
import socket
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from rich.console import Console

from fmnist_zoo.data import DataFileError, MissingFileError, SourceError
from fmnist_zoo.data import download as transport
from fmnist_zoo.data.download import Outside, download, open_url, run_command
from fmnist_zoo.data.progress import Reporter
from tests.data.tiny import QUIET, TRAIN_IMAGES, Mirror, Tiny


def get(url: str, *, limit_bytes: int = 100_000, reporter: Reporter = QUIET) -> bytes:
    return download(url, limit_bytes=limit_bytes, outside=Outside(), reporter=reporter)


def test_a_download_is_what_the_server_has(tiny: Tiny, mirror: Mirror) -> None:
    assert get(f"{mirror.url}{TRAIN_IMAGES}.gz") == tiny.gz[TRAIN_IMAGES]


def test_a_missing_file_is_told_from_a_missing_server(mirror: Mirror) -> None:
    with pytest.raises(MissingFileError, match="HTTP 404"):
        get(f"{mirror.url}nothing")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceError, match="refused"):
        get(f"http://127.0.0.1:{port}/file")


def test_a_download_stops_past_its_limit(mirror: Mirror) -> None:
    with pytest.raises(DataFileError, match="at most 1,000 bytes"):
        get(f"{mirror.url}{TRAIN_IMAGES}.gz", limit_bytes=1000)


def test_a_silent_server_is_given_up(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_S", 0.1)
    mirror.gate.clear()
    with pytest.raises(SourceError, match="timed out"):
        get(f"{mirror.url}{TRAIN_IMAGES}.gz")


def test_a_trickling_server_is_given_up(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "DOWNLOAD_LIMIT_S", 0.0)
    with pytest.raises(SourceError, match="too slow"):
        get(f"{mirror.url}{TRAIN_IMAGES}.gz")


@pytest.mark.parametrize(
    ("scheme", "beginning"),
    [
        ("http", b""),
        ("http", b"HTTP/1.1 200 OK\r\nX-Endless: "),
        ("http", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"),
        ("https", b"\x16\x03\x03\x40\0"),  # a handshake of 16,384 bytes
    ],
)
def test_a_server_that_trickles_before_the_body_is_given_up(
    scheme: str, beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte, so that no wait for the next one is long: of a header, of a chunk's length, of a handshake."""
    monkeypatch.setattr(transport, "DOWNLOAD_LIMIT_S", 0.3)
    given_up = threading.Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(beginning)
            while not given_up.wait(0.02):
                connection.sendall(b"H")

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        started_s = time.monotonic()
        watch = threading.Timer(20.0, given_up.set)
        watch.start()
        try:
            with pytest.raises(SourceError, match="too slow"):
                get(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/file")
            assert time.monotonic() - started_s < 10.0
        finally:
            watch.cancel()
            given_up.set()
            thread.join()


def test_only_http_is_fetched(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="only http"):
        open_url((tmp_path / "file").as_uri(), 1.0)


def test_a_server_may_send_on_to_another_place(tiny: Tiny, mirror: Mirror) -> None:
    mirror.elsewhere["/old"] = f"{mirror.url}{TRAIN_IMAGES}.gz"
    assert get(f"{mirror.url}old") == tiny.gz[TRAIN_IMAGES]


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "http://[::1", "/loop", "http://"]
)
def test_a_server_can_not_send_on_to_what_is_no_web(mirror: Mirror, place: str) -> None:
    mirror.elsewhere["/loop"] = place
    with pytest.raises((SourceError, MissingFileError)):
        get(f"{mirror.url}loop")


@pytest.mark.parametrize("garbage", [b"", b"\0\xff" * 100, b"HTTP/1.1 999999999999 x\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_what_does_not_speak_http_is_given_up(mirror: Mirror, garbage: bytes) -> None:
    mirror.garbage = garbage
    with pytest.raises(SourceError, match="can't be reached"):
        get(f"{mirror.url}{TRAIN_IMAGES}.gz")


def test_a_terminal_gets_a_bar(mirror: Mirror) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200)
    get(f"{mirror.url}{TRAIN_IMAGES}.gz", reporter=Reporter(console=console))
    assert "━" in stream.getvalue()
    assert f"{TRAIN_IMAGES}.gz" in stream.getvalue()


def test_a_failing_command_says_how_it_ended(tmp_path: Path) -> None:
    code = "import sys; print('first'); print('second', file=sys.stderr); sys.exit(3)"
    with pytest.raises(SourceError, match=r"exit code 3: .*second"):
        run_command([sys.executable, "-c", code], cwd=tmp_path, timeout_s=30.0)


def test_a_command_runs_in_its_folder_without_a_shell_or_input(tmp_path: Path) -> None:
    code = "import pathlib, sys; pathlib.Path('out').write_text(sys.argv[1] + sys.stdin.read())"
    run_command([sys.executable, "-c", code, "$(echo hi); ls"], cwd=tmp_path, timeout_s=30.0)
    assert (tmp_path / "out").read_text() == "$(echo hi); ls"


def test_a_command_over_its_time_is_killed_with_all_it_started(tmp_path: Path) -> None:
    # the child holds the output open, so that waiting for its end would hang
    code = (
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "time.sleep(60)"
    )
    started_s = time.monotonic()
    with pytest.raises(SourceError, match="took more than 1 s"):
        run_command([sys.executable, "-c", code], cwd=tmp_path, timeout_s=1.0)
    child = int((tmp_path / "child").read_text())
    while time.monotonic() < started_s + 30 and is_running(child):
        time.sleep(0.01)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be collected by its parent."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
