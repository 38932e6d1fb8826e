"""The decoded file in the cache: as good as the files it was made from, or made again."""

import errno
import logging
import os
import zlib
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmnist_zoo.data import CacheWriteError, DataFileError, MissingFileError
from fmnist_zoo.data.checked_file import read_sealed, write_sealed
from fmnist_zoo.data.datasets import DECODED_NAME
from fmnist_zoo.data.download import Outside
from tests.data.tiny import TRAIN_IMAGES, Tiny, has_data_of, load, make_tiny

TENSORS = {"a": torch.arange(300, dtype=torch.uint8).reshape(3, 100), "b": torch.arange(7)}


def test_the_second_load_reads_the_decoded_file_alone(
    tiny: Tiny, cache: Path, online: Outside, cut_off: Outside
) -> None:
    first = load(tiny.spec, cache, online)
    for path in cache.glob("*.gz"):
        path.unlink()
    second = load(tiny.spec, cache, cut_off)
    assert has_data_of(second, tiny)
    for name in ("name", "class_names", "mean", "std", "checksum", "origin"):
        assert getattr(second, name) == getattr(first, name), name


def test_the_checksum_is_that_of_the_files(tiny: Tiny, cache: Path, online: Outside, tmp_path: Path) -> None:
    checksum = load(tiny.spec, cache, online).checksum
    plain = tiny.write(tmp_path / "plain", compressed=False)
    assert load(tiny.spec, plain, online).checksum == checksum
    other = make_tiny(seed=1)
    assert load(other.spec, other.write(tmp_path / "other"), online).checksum != checksum


def test_mean_and_deviation_are_of_the_training_pixels(tiny: Tiny, cache: Path, online: Outside) -> None:
    dataset = load(tiny.spec, cache, online)
    pixels = dataset.train.images.double() / 255
    assert dataset.mean == pytest.approx(float(pixels.mean()), rel=1e-9)
    assert dataset.std == pytest.approx(float(pixels.std(correction=0)), rel=1e-9)


def test_every_changed_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_sealed(path, TENSORS, {"key": "value"})
    whole = path.read_bytes()
    tensors, metadata = read_sealed(path, limit_bytes=len(whole))
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert metadata["key"] == "value"
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DataFileError):
            read_sealed(path, limit_bytes=len(whole))


@given(content=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_other_file_gives_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataFileError):
        read_sealed(path, limit_bytes=1000)


def test_a_longer_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as stream:
        stream.truncate(1 << 40)  # sparse: takes no room on the disk
    with pytest.raises(DataFileError, match="over the limit of 1,000"):
        read_sealed(path, limit_bytes=1000)


@pytest.mark.parametrize("name", ["missing", "file/below"])
def test_no_file_is_a_missing_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MissingFileError):
        read_sealed(tmp_path / name, limit_bytes=1000)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"crc32":"00000000"}'])
def test_one_that_something_else_has_sealed_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    """The sum is right, and what it is the sum of is no file of tensors."""
    raw = len(content).to_bytes(8, "little") + content
    raw = raw.replace(b'"crc32":"00000000"', f'"crc32":"{zlib.crc32(raw):08x}"'.encode())
    (tmp_path / "file").write_bytes(raw)
    with pytest.raises(DataFileError):
        read_sealed(tmp_path / "file", limit_bytes=1000)


@pytest.mark.parametrize("change", ["no test labels", "labels of another kind", "no mean", "a mean that is none"])
def test_one_that_lacks_a_part_is_made_again(tiny: Tiny, cache: Path, cut_off: Outside, change: str) -> None:
    load(tiny.spec, tiny.write(cache), cut_off)
    tensors, metadata = read_sealed(cache / DECODED_NAME, limit_bytes=1 << 20)
    if change == "no test labels":
        del tensors["test_labels"]
    elif change == "labels of another kind":
        tensors["test_labels"] = tensors["test_labels"].float()
    elif change == "no mean":
        del metadata["mean"]
    else:
        metadata["mean"] = "x"
    write_sealed(cache / DECODED_NAME, tensors, metadata)
    assert has_data_of(load(tiny.spec, cache, cut_off), tiny)


@pytest.mark.parametrize("damage", ["truncated", "longer", "flipped", "empty", "a folder", "a pipe"])
def test_a_damaged_one_is_made_again(
    tiny: Tiny, cache: Path, cut_off: Outside, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    load(tiny.spec, tiny.write(cache), cut_off)
    path = cache / DECODED_NAME
    whole = path.read_bytes()
    if damage in ("a folder", "a pipe"):
        path.unlink()
        path.mkdir() if damage == "a folder" else os.mkfifo(path)
    else:
        flipped = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
        path.write_bytes({"truncated": whole[:-1], "longer": whole + b"\0", "flipped": flipped, "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert has_data_of(load(tiny.spec, cache, cut_off), tiny)
    assert caplog.text.count(f"{path}: expected") == 1
    if damage != "a folder":
        read_sealed(path, limit_bytes=len(whole))


def test_one_of_another_dataset_or_version_is_made_again(
    tiny: Tiny, cache: Path, online: Outside, tmp_path: Path
) -> None:
    other = make_tiny(seed=1)
    load(other.spec, other.write(tmp_path / "other"), online)
    tiny.write(cache)
    (cache / DECODED_NAME).write_bytes((tmp_path / "other" / DECODED_NAME).read_bytes())
    assert has_data_of(load(tiny.spec, cache, online), tiny)
    assert load(replace(tiny.spec, class_names=tuple("0123456789")), cache, online).class_names == tuple("0123456789")


def test_another_process_cannot_take_the_memory_away(tiny: Tiny, cache: Path, online: Outside) -> None:
    load(tiny.spec, cache, online)
    dataset = load(tiny.spec, cache, online)
    with (cache / DECODED_NAME).open("r+b") as stream:
        stream.truncate(0)
    assert has_data_of(dataset, tiny)
    dataset.train.images.zero_()
    assert has_data_of(load(tiny.spec, cache, online), tiny)


def test_a_cache_below_a_file_is_an_error_with_a_remedy(tiny: Tiny, tmp_path: Path, online: Outside) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheWriteError, match=r"can't write .*file.*Set FMNIST_ZOO_CACHE to .*FMNIST_ZOO_DATA=FOLDER"):
        load(tiny.spec, tmp_path / "file" / "cache", online)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)


@pytest.mark.usefixtures("full_disk")
def test_on_a_full_disk_a_download_is_an_error_and_leaves_nothing(tiny: Tiny, cache: Path, online: Outside) -> None:
    with pytest.raises(CacheWriteError, match=rf"{TRAIN_IMAGES}.gz: No space left on device"):
        load(tiny.spec, cache, online)
    assert [path.name for path in cache.iterdir() if path.name != ".lock"] == []


@pytest.mark.usefixtures("full_disk")
def test_on_a_full_disk_files_at_hand_are_used_nevertheless(
    tiny: Tiny, cache: Path, cut_off: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write(cache)
    assert has_data_of(load(tiny.spec, cache, cut_off), tiny)
    assert "No space left on device" in caplog.text
    assert not (cache / DECODED_NAME).exists()
