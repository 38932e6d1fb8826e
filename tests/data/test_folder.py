"""A folder that the user names is used or refused: never passed over, never believed."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fmnist_zoo.data import CacheWriteError, DataError, DataFileError, MissingFileError, SourceError, load_dataset
from fmnist_zoo.data.catalog import SPECS
from fmnist_zoo.data.sources import read_folder
from tests.data.tiny import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, Tiny, has_data_of, idx, make_tiny

Fault = Callable[[Tiny], dict[str, bytes | None]]


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


FAULTS: dict[str, tuple[Fault, str, str]] = {
    "truncated": (
        lambda tiny: {f"{TRAIN_IMAGES}.gz": tiny.gz[TRAIN_IMAGES][:-9]},
        TRAIN_IMAGES,
        "a complete gzip file",
    ),
    "bit flipped": (lambda tiny: {f"{TRAIN_IMAGES}.gz": flip(tiny.gz[TRAIN_IMAGES], 5000)}, TRAIN_IMAGES, "gzip"),
    "swapped splits": (lambda tiny: {f"{TRAIN_LABELS}.gz": tiny.gz[TEST_LABELS]}, TRAIN_LABELS, "counts 40, found 20"),
    "swapped kinds": (lambda tiny: {f"{TEST_LABELS}.gz": tiny.gz[TEST_IMAGES]}, TEST_LABELS, "0x00000801"),
    "empty": (lambda tiny: {f"{TEST_IMAGES}.gz": b""}, TEST_IMAGES, "header of 16 bytes, found 0 bytes"),
    "oversized": (
        lambda tiny: {f"{TEST_LABELS}.gz": bytes(100_000)},
        TEST_LABELS,
        "found 100,000 bytes, over the limit of 65,564",
    ),
    "bomb": (
        lambda tiny: {f"{TEST_LABELS}.gz": gzip.compress(idx(np.zeros(20, np.uint8)) + bytes(1_000_000))},
        TEST_LABELS,
        "28 bytes when decompressed, found more",
    ),
    "mislabelled": (lambda tiny: {f"{TRAIN_LABELS}.gz": make_tiny(seed=1).gz[TRAIN_LABELS]}, TRAIN_LABELS, "MD5"),
    "a page of a portal": (lambda tiny: {f"{TRAIN_LABELS}.gz": b"<!DOCTYPE html>"}, TRAIN_LABELS, "found 0x3c21444f"),
    "label out of range": (
        lambda tiny: {f"{TEST_LABELS}.gz": idx(np.full(20, 10, dtype=np.uint8))},
        TEST_LABELS,
        "labels from 0 to 9, found label 10",
    ),
    "missing": (
        lambda tiny: {f"{TEST_LABELS}.gz": None},
        TEST_LABELS,
        "this file or its .gz (all four are needed), found no such file",
    ),
}


@pytest.mark.parametrize("compressed", [True, False])
def test_files_are_taken_compressed_or_not(tiny: Tiny, tmp_path: Path, compressed: bool) -> None:
    files = read_folder(tiny.spec, tiny.write(tmp_path, compressed=compressed))
    assert [idx(files.contents[file].values) for file in tiny.spec.files] == list(tiny.plain.values())
    assert files.origin == "folder"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_by_name(tiny: Tiny, tmp_path: Path, fault: str) -> None:
    change, name, words = FAULTS[fault]
    folder = tiny.write(tmp_path, changed=change(tiny))
    with pytest.raises(DataFileError) as caught:
        read_folder(tiny.spec, folder)
    assert caught.value.file.startswith(str(folder / name))
    assert words in str(caught.value)


def test_a_flipped_pixel_of_a_plain_file_is_found(tiny: Tiny, tmp_path: Path) -> None:
    flipped = flip(tiny.plain[TEST_IMAGES], 1000)
    with pytest.raises(DataFileError, match=f"MD5 {tiny.spec.files[2].md5} when decompressed"):
        read_folder(tiny.spec, tiny.write(tmp_path, compressed=False, changed={TEST_IMAGES: flipped}))


def test_a_good_plain_file_does_not_excuse_a_bad_gz(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path, changed={f"{TRAIN_LABELS}.gz": b"bad", TRAIN_LABELS: tiny.plain[TRAIN_LABELS]})
    with pytest.raises(DataFileError, match=r"train-labels-idx1-ubyte\.gz"):
        read_folder(tiny.spec, folder)


def test_a_pipe_is_not_waited_for(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path, changed={f"{TRAIN_LABELS}.gz": None})
    os.mkfifo(folder / f"{TRAIN_LABELS}.gz")
    with pytest.raises(DataFileError, match="found not a regular file"):
        read_folder(tiny.spec, folder)


def test_a_file_that_can_not_be_read_is_refused_by_name(tiny: Tiny, tmp_path: Path) -> None:
    folder = tiny.write(tmp_path, changed={f"{TRAIN_LABELS}.gz": None})
    (folder / f"{TRAIN_LABELS}.gz").symlink_to("/proc/self/mem")  # which not even root may read from its beginning
    with pytest.raises(DataFileError, match=rf"{TRAIN_LABELS}\.gz: .*found \[Errno 5\]"):
        read_folder(tiny.spec, folder)


@pytest.fixture
def known(tiny: Tiny, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Tiny:
    """Makes the tiny dataset one that `load_dataset` knows, with a good cache that mustn't be used."""
    monkeypatch.setitem(SPECS, "tiny", tiny.spec)
    monkeypatch.setenv("FMNIST_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("FMNIST_ZOO_DATA", raising=False)
    tiny.write(tmp_path / "cache" / "tiny")
    return tiny


def test_the_argument_goes_before_the_variable(known: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMNIST_ZOO_DATA", str(tmp_path / "nowhere"))
    dataset = load_dataset("tiny", known.write(tmp_path / "named"))
    assert has_data_of(dataset, known)
    assert dataset.origin == "folder"


def test_the_variable_goes_before_the_cache(known: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_dataset("tiny").origin == "cache"
    monkeypatch.setenv("FMNIST_ZOO_DATA", str(known.write(tmp_path / "named")))
    assert load_dataset("tiny").origin == "folder"


@pytest.mark.parametrize("by_variable", [True, False])
@pytest.mark.parametrize("what", ["nothing", "a file", "an empty folder", "a name too long", "nobody's home"])
def test_a_useless_folder_is_refused_though_the_cache_is_good(
    known: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, by_variable: bool
) -> None:
    root = tmp_path / "named"
    if what == "a file":
        root.touch()
    elif what == "an empty folder":
        root.mkdir()
    elif what == "a name too long":
        root /= "x" * 300
    elif what == "nobody's home":
        root = Path("~nobody-of-this-name")
    if by_variable:
        monkeypatch.setenv("FMNIST_ZOO_DATA", str(root))
    with pytest.raises(DataError, match=str(root)) as caught:
        load_dataset("tiny", None if by_variable else root)
    assert isinstance(caught.value, MissingFileError if what == "an empty folder" else SourceError)
    assert TRAIN_IMAGES in str(caught.value)


def test_a_cache_in_nobodys_home_is_an_error_with_a_remedy(known: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMNIST_ZOO_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(CacheWriteError, match=r"~nobody-of-this-name/cache: .*Set FMNIST_ZOO_CACHE to"):
        load_dataset("tiny")


def test_a_named_folder_needs_no_cache(known: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FMNIST_ZOO_CACHE", str(tmp_path / "file" / "below"))
    before = sorted(tmp_path.rglob("*"))
    load_dataset("tiny", tmp_path / "cache" / "tiny")
    assert sorted(tmp_path.rglob("*")) == before
