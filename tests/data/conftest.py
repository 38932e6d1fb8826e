"""A tiny dataset, a mirror that serves it, and a machine that has neither network nor apt."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fmnist_zoo.data.download import Outside, open_url
from tests.data.tiny import Mirror, Tiny, make_tiny, mirrors_at, offline, serve


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    return make_tiny()


@pytest.fixture
def mirror(tiny: Tiny) -> Iterator[Mirror]:
    with serve({f"{name}.gz": raw for name, raw in tiny.gz.items()}) as mirror:
        yield mirror


@pytest.fixture
def cut_off(tmp_path: Path) -> Outside:
    return offline(tmp_path / "root")


@pytest.fixture
def online(tmp_path: Path, mirror: Mirror) -> Outside:
    return replace(offline(tmp_path / "root"), open_url=open_url, mirrors=mirrors_at(mirror.url))


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "tiny"
