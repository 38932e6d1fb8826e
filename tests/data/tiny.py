"""A dataset of a few random images in the real format, and the places that may or may not have it."""

import gzip
import hashlib
import struct
import threading
import urllib.error
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from fmnist_zoo.data.catalog import SPECS, DatasetSpec, DebianPackage, IdxFile
from fmnist_zoo.data.datasets import Dataset, load_cached
from fmnist_zoo.data.download import Outside
from fmnist_zoo.data.progress import Reporter
from fmnist_zoo.data.sources import default_sources

QUIET = Reporter(enabled=False)
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = (file.name for file in SPECS["fashion_mnist"].files)


def idx(values: NDArray[np.uint8]) -> bytes:
    """An idx file with these values."""
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@dataclass(frozen=True)
class Tiny:
    """The dataset's description and, by file name, the plain content of its files."""

    spec: DatasetSpec
    plain: dict[str, bytes]

    @property
    def gz(self) -> dict[str, bytes]:
        return {name: gzip.compress(content, mtime=0) for name, content in self.plain.items()}

    def write(
        self, folder: Path, *, compressed: bool = True, changed: Mapping[str, bytes | None] | None = None
    ) -> Path:
        """Write the four files into `folder`; `changed` replaces one as it lies there, or leaves it out if None."""
        folder.mkdir(parents=True, exist_ok=True)
        contents = {f"{name}.gz": raw for name, raw in self.gz.items()} if compressed else self.plain
        for name, content in {**contents, **(changed or {})}.items():
            if content is not None:
                (folder / name).write_bytes(content)
        return folder


def make_tiny(*, num_train: int = 40, num_test: int = 20, seed: int = 0) -> Tiny:
    rng = np.random.default_rng(seed)
    plain = {
        TRAIN_IMAGES: idx(rng.integers(0, 256, (num_train, 28, 28), dtype=np.uint8)),
        TRAIN_LABELS: idx(rng.permutation(num_train).astype(np.uint8) % 10),
        TEST_IMAGES: idx(rng.integers(0, 256, (num_test, 28, 28), dtype=np.uint8)),
        TEST_LABELS: idx(rng.permutation(num_test).astype(np.uint8) % 10),
    }
    shapes = ((num_train, 28, 28), (num_train,), (num_test, 28, 28), (num_test,))
    first, second, third, fourth = (
        IdxFile(name=name, shape=shape, md5=md5(content))
        for (name, content), shape in zip(plain.items(), shapes, strict=True)
    )
    spec = DatasetSpec(
        name="tiny",
        class_names=tuple("abcdefghij"),
        files=(first, second, third, fourth),
        torchvision_class="FashionMNIST",
        debian=DebianPackage(package="dataset-tiny", folder="usr/share/datasets/tiny"),
    )
    return Tiny(spec=spec, plain=plain)


def unreachable(url: str, timeout_s: float) -> NoReturn:
    raise urllib.error.URLError("no network in this test")


def no_command(argv: Sequence[str], *, cwd: Path, timeout_s: float) -> NoReturn:
    raise AssertionError(f"{argv} was run")


def no_tool(tool: str) -> None:
    """Where nothing is installed."""


def mirrors_at(*urls: str) -> Callable[[DatasetSpec], Sequence[str]]:
    return lambda spec: urls


def offline(root: Path) -> Outside:
    """A machine without a network, without apt, and with two mirrors that it can't reach."""
    return Outside(
        open_url=unreachable,
        run=no_command,
        find_tool=no_tool,
        mirrors=mirrors_at("http://one.invalid/", "http://two.invalid/"),
        system_root=root,
    )


def load(spec: DatasetSpec, cache: Path, outside: Outside) -> Dataset:
    """What `load_dataset` does where no folder was named."""
    sources = default_sources(spec, cache, reporter=QUIET, outside=outside)
    return load_cached(spec, cache, sources, reporter=QUIET)


def has_data_of(dataset: Dataset, tiny: Tiny) -> bool:
    """Whether the tensors hold exactly the values of the files."""
    pairs = (
        (dataset.train.images, TRAIN_IMAGES),
        (dataset.train.labels, TRAIN_LABELS),
        (dataset.test.images, TEST_IMAGES),
        (dataset.test.labels, TEST_LABELS),
    )
    return all(idx(tensor.numpy().astype(np.uint8).squeeze()) == tiny.plain[name] for tensor, name in pairs)


@dataclass
class Mirror:
    """A loopback server: what it has, how it answers, and what it was asked for."""

    files: dict[str, bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """Only while this is set does the second half of a body follow the first."""
    cut_to_bytes: int | None = None
    """Close the connection after so many bytes of a body."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Where it sends on to, by path."""
    garbage: bytes | None = None
    """What it answers in the place of HTTP."""


@contextmanager
def serve(files: dict[str, bytes]) -> Generator[Mirror, None, None]:
    mirror = Mirror({f"/{name}": content for name, content in files.items()})
    mirror.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked.append(self.path.removeprefix("/").removesuffix(".gz"))
            if mirror.garbage is not None:
                self.wfile.write(mirror.garbage)
                return
            if self.path in mirror.elsewhere:
                self.send_response(302)
                self.send_header("Location", mirror.elsewhere[self.path])
                self.end_headers()
                return
            body = mirror.files.get(self.path)
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2][: mirror.cut_to_bytes])
            self.wfile.flush()
            mirror.gate.wait(timeout=60)
            if mirror.cut_to_bytes is None:
                self.wfile.write(body[len(body) // 2 :])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        mirror.url = f"http://127.0.0.1:{server.server_port}/"
        try:
            yield mirror
        finally:
            mirror.gate.set()
            server.shutdown()
            thread.join()
