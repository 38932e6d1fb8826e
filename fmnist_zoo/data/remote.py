"""Network sources: torchvision's mirrors and Debian's archive."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from fmnist_zoo.data.catalog import DatasetSpec, DebianPackage, IdxFile
from fmnist_zoo.data.download import CONNECT_TIMEOUT_S, Outside, download
from fmnist_zoo.data.errors import SourceError
from fmnist_zoo.data.progress import Reporter
from fmnist_zoo.data.source import COMPRESSION_SLACK_BYTES, Read, Source, read_from_folder

APT_UPDATE_LIMIT_S: Final = 120.0
APT_DOWNLOAD_LIMIT_S: Final = 600.0
UNPACK_LIMIT_S: Final = 60.0


def mirror_sources(spec: DatasetSpec, *, reporter: Reporter, outside: Outside) -> Iterator[Source]:
    """One source per mirror, so that an unreachable one is tried once only."""
    try:
        mirrors = outside.mirrors(spec)
    except SourceError as error:
        yield Source(origin="torchvision-mirror", label="torchvision's mirrors", open=partial(_fail, error))
        return
    for base_url in mirrors:
        yield Source(
            origin="torchvision-mirror",
            label=f"torchvision's mirror {base_url}",
            open=partial(_open_mirror, base_url, reporter, outside),
            is_remote=True,
        )


def debian_source(debian: DebianPackage, *, reporter: Reporter, outside: Outside) -> Source:
    """Debian's archive, as configured for apt on this machine."""
    return Source(
        origin="debian-archive",
        label="Debian's archive (apt-get download)",
        open=partial(_open_package, debian, reporter, outside),
        is_remote=True,
    )


@contextmanager
def _fail(error: SourceError) -> Generator[Read, None, None]:
    raise error
    yield  # makes it a generator


@contextmanager
def _open_mirror(base_url: str, reporter: Reporter, outside: Outside) -> Generator[Read, None, None]:
    yield partial(_read_from_mirror, base_url, reporter, outside)


def _read_from_mirror(base_url: str, reporter: Reporter, outside: Outside, file: IdxFile) -> tuple[str, bytes]:
    url = f"{base_url.rstrip('/')}/{file.name}.gz"
    limit_bytes = file.size_bytes + COMPRESSION_SLACK_BYTES
    return url, download(url, limit_bytes=limit_bytes, outside=outside, reporter=reporter)


@contextmanager
def _open_package(debian: DebianPackage, reporter: Reporter, outside: Outside) -> Generator[Read, None, None]:
    """Download and unpack a package unprivileged: apt gets its own folders, nothing is installed."""
    for tool in ("apt-get", "dpkg-deb"):
        if outside.find_tool(tool) is None:
            raise SourceError(f"{tool} isn't installed")
    with tempfile.TemporaryDirectory(prefix="fmnist-zoo-apt-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt run by root switches to its own user, which needs access
        for part in ("state", "lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True)
        reporter.say(f"fetching {debian.package} from Debian's archive with apt-get")
        _apt_download(debian.package, folder, outside)
        archives = list(folder.glob("*.deb"))
        if len(archives) != 1:
            raise SourceError(f"apt-get download left {len(archives)} .deb files instead of one")
        unpacked = folder / "unpacked"
        unpack = ["dpkg-deb", "--extract", str(archives[0]), str(unpacked)]
        outside.run(unpack, cwd=folder, timeout_s=UNPACK_LIMIT_S)
        yield partial(read_from_folder, unpacked / debian.folder)


def _apt_download(package: str, folder: Path, outside: Outside) -> None:
    options = {
        "Dir::State": folder / "state",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "Acquire::Retries": "0",
        "Acquire::http::Timeout": f"{CONNECT_TIMEOUT_S:.0f}",
        "Acquire::https::Timeout": f"{CONNECT_TIMEOUT_S:.0f}",
        "APT::Update::Error-Mode": "any",
    }
    apt = ["apt-get", "--quiet", *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]
    update_error: SourceError | None = None
    try:
        outside.run([*apt, "update"], cwd=folder, timeout_s=APT_UPDATE_LIMIT_S)
    except SourceError as error:  # of several archives, one that isn't needed may have failed
        update_error = error
    try:
        outside.run([*apt, "download", package], cwd=folder, timeout_s=APT_DOWNLOAD_LIMIT_S)
    except SourceError as error:
        raise (SourceError(f"update: {update_error}; download: {error}") if update_error else error) from error
