"""The parser: whatever the bytes, the right values or an error that names file, expected and found."""

import gzip
import hashlib
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fmnist_zoo.data import DataFileError
from fmnist_zoo.data.catalog import SPECS, IdxFile
from fmnist_zoo.data.idx import decompress, parse_idx, read_idx
from tests.data.tiny import idx, md5

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
ARRAYS = SHAPES.flatmap(lambda shape: hnp.arrays(np.uint8, shape))
LABELS = np.array([0, 9, 3], dtype=np.uint8)
LABEL_FILE = IdxFile(name="labels", shape=(3,), md5=md5(idx(LABELS)))


@given(ARRAYS)
def test_what_was_written_is_read(values: np.ndarray) -> None:
    found = parse_idx(idx(values), values.shape, path="file")
    assert np.array_equal(found, values) and found.shape == values.shape


@given(ARRAYS, st.data())
def test_every_truncation_is_found(values: np.ndarray, data: st.DataObject) -> None:
    whole = idx(values)
    with pytest.raises(DataFileError, match=r"^file: expected .*, found "):
        parse_idx(whole[: data.draw(st.integers(0, len(whole) - 1))], values.shape, path="file")


@given(ARRAYS, st.binary(min_size=1, max_size=20))
def test_every_addition_is_found(values: np.ndarray, more: bytes) -> None:
    with pytest.raises(DataFileError, match="bytes when decompressed"):
        parse_idx(idx(values) + more, values.shape, path="file")


@given(ARRAYS, st.data())
def test_every_flip_in_the_header_is_found(values: np.ndarray, data: st.DataObject) -> None:
    whole = bytearray(idx(values))
    whole[data.draw(st.integers(0, 3 + 4 * values.ndim))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DataFileError):
        parse_idx(bytes(whole), values.shape, path="file")


@given(st.binary(max_size=100), SHAPES)
@example(b"", (1,))
@example(b"\0\0\x08\x03" + b"\xff" * 12, (60_000, 28, 28))
def test_any_bytes_give_the_shape_or_an_error(content: bytes, shape: tuple[int, ...]) -> None:
    try:
        found = parse_idx(content, shape, path="file")
    except DataFileError:
        return
    assert found.shape == shape


@given(st.binary(max_size=200).map(lambda tail: b"\x1f\x8b" + tail))
def test_any_gzip_gives_an_error_of_ours(content: bytes) -> None:
    with pytest.raises(DataFileError):
        read_idx(content, LABEL_FILE, path="file")


@given(st.data())
def test_every_flip_in_a_known_file_is_found(data: st.DataObject) -> None:
    plain = idx(LABELS)
    raw = bytearray(data.draw(st.sampled_from([plain, gzip.compress(plain, mtime=0)])))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        content = read_idx(bytes(raw), LABEL_FILE, path="file")
    except DataFileError:
        return
    # gzip's header has bits that don't matter, such as the time and the operating system
    assert raw[:2] == b"\x1f\x8b" and np.array_equal(content.values, LABELS)


@pytest.mark.parametrize("level", [1, 9])
def test_a_file_is_known_however_it_was_compressed(level: int) -> None:
    plain = idx(LABELS)
    for raw in (plain, gzip.compress(plain, level, mtime=123)):
        content = read_idx(raw, LABEL_FILE, path="file")
        assert np.array_equal(content.values, LABELS)
        assert content.md5 == hashlib.md5(plain).hexdigest()


@pytest.mark.parametrize(
    ("raw", "expected", "found"),
    [
        (b"", "an idx header of 8 bytes", "0 bytes"),
        (idx(LABELS.reshape(1, 3)), "magic number 0x00000801", "0x00000802"),
        (b"\0\0\x0d\x01" + idx(LABELS)[4:], "magic number 0x00000801", "0x00000d01"),
        (idx(LABELS[:2]), "counts 3", "2"),
        (idx(LABELS)[:-1], "11 bytes when decompressed", "10"),
        (idx(LABELS) + b"\0", "11 bytes when decompressed", "more"),
        (gzip.compress(idx(LABELS) + b"\0", mtime=0), "11 bytes when decompressed", "more"),
        (gzip.compress(idx(LABELS), mtime=0)[:-1], "a complete gzip file", "a damaged one"),
        (gzip.compress(idx(LABELS), mtime=0) + b"x", "a complete gzip file", "a damaged one"),
        (idx(LABELS + np.uint8(1)), "labels from 0 to 9", "label 10"),
        (idx(LABELS[::-1]), f"MD5 {LABEL_FILE.md5} when decompressed", md5(idx(LABELS[::-1]))),
    ],
)
def test_the_error_says_what_was_expected_and_found(raw: bytes, expected: str, found: str) -> None:
    with pytest.raises(DataFileError) as caught:
        read_idx(raw, LABEL_FILE, path="folder/labels.gz")
    assert (caught.value.file, caught.value.expected) == ("folder/labels.gz", expected)
    assert caught.value.found.startswith(found)
    assert str(caught.value) == f"folder/labels.gz: expected {expected}, found {caught.value.found}"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        assert decompress(bomb, limit_bytes=1000, path="file") == bytes(1001)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_a_header_cannot_claim_memory() -> None:
    claim = b"\0\0\x08\x03" + b"\xff\xff\xff\xff" * 3
    with pytest.raises(DataFileError, match="4294967295 x 4294967295 x 4294967295"):
        parse_idx(claim, (60_000, 28, 28), path="file")


def test_the_known_sizes() -> None:
    assert [file.size_bytes for file in SPECS["fashion_mnist"].files] == [47_040_016, 60_008, 7_840_016, 10_008]


KMNIST_LABELS = IdxFile(name="labels", shape=(3,), gz_md5=md5(gzip.compress(idx(LABELS), mtime=0)))


def test_without_a_known_content_the_published_gz_is_recognised() -> None:
    published = gzip.compress(idx(LABELS), mtime=0)
    assert np.array_equal(read_idx(published, KMNIST_LABELS, path="file").values, LABELS)
    with pytest.raises(DataFileError, match=f"MD5 {KMNIST_LABELS.gz_md5} of the .gz as published"):
        read_idx(gzip.compress(idx(LABELS[::-1]), mtime=0), KMNIST_LABELS, path="file")


def test_without_a_known_content_a_plain_file_is_held_to_its_structure() -> None:
    assert np.array_equal(read_idx(idx(LABELS[::-1]), KMNIST_LABELS, path="file").values, LABELS[::-1])
    with pytest.raises(DataFileError, match="label 10"):
        read_idx(idx(LABELS + np.uint8(1)), KMNIST_LABELS, path="file")
