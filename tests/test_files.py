"""Files on disks that are full, below files, or shared with processes that were killed."""

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from fmnist_zoo import create_model
from fmnist_zoo.checkpoint import save_checkpoint
from fmnist_zoo.files import LEFTOVER_AGE_S, WriteError, read_regular, remove_leftovers, write_atomically
from tests.full_disk import room_for


def test_without_room_the_old_file_stays_and_the_error_says_where_and_what_helps(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with room_for(1000), pytest.raises(WriteError) as caught:
        write_atomically(path, bytes(2000))
    assert str(caught.value) == f"can't write {path}: File too large; free some space or choose another folder"
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_room_a_model_is_not_saved_by_half(tmp_path: Path) -> None:
    model, scaling = create_model("mlp"), {"mean": 0.3, "std": 0.4, "class_names": tuple("abcdefghij")}
    with room_for(1000), pytest.raises(WriteError, match=r"weights\.safetensors"):
        save_checkpoint(tmp_path / "new", model, name="mlp", options={}, input_scaling="unit", **scaling)  # type: ignore[arg-type]
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("place", ["file/below", "file/below/that", "folder"])
def test_what_can_not_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WriteError, match=f"can't write {tmp_path / place}: .*; make it writable or"):
        write_atomically(tmp_path / place, b"content")
    assert sorted(tmp_path.rglob("*")) == before


def test_names_of_new_folders_are_on_the_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []

    def note(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            flushed.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr("fmnist_zoo.files.os.fsync", note)
    write_atomically(tmp_path / "machine" / "runs" / "file", b"content")
    folders = [tmp_path / "machine", tmp_path, tmp_path / "machine" / "runs"]
    assert sorted(flushed) == sorted(folder.stat().st_ino for folder in folders)


@pytest.mark.parametrize(("number", "is_fatal"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_can_not_flush_folders_is_used_and_one_that_fails_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_fatal: bool
) -> None:
    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fmnist_zoo.files.os.fsync", fail)
    if is_fatal:
        with pytest.raises(WriteError, match="Input/output error"):
            write_atomically(tmp_path / "file", b"content")
    else:
        write_atomically(tmp_path / "file", b"content")
        assert (tmp_path / "file").read_bytes() == b"content"


def test_what_is_no_file_of_that_size_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)  # takes no room on the disk
    (tmp_path / "whole").write_bytes(b"0123456789")
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "sizeless").symlink_to("/proc/self/status")
    (tmp_path / "unreadable").symlink_to("/proc/self/mem")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert read_regular(tmp_path / "whole", 10) == b"0123456789"
    for name, reason in {
        "pipe": "not a regular file", "endless": "not a regular file", ".": "not a regular file",
        "sparse": "1,099,511,627,776 bytes, over the limit of 1,000", "whole": "10 bytes, over the limit of 9",
        "sizeless": "longer than its reported size of 0 bytes",
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=reason):
            read_regular(tmp_path / name, 9 if name == "whole" else 1000)
    for name in ("missing", "whole/below", "unreadable"):
        with pytest.raises(OSError, match=r"\[Errno"):
            read_regular(tmp_path / name, 1000)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_only_old_leftovers_of_writers_are_removed(tmp_path: Path) -> None:
    leftover = ".0123456789abcdef.tmp"
    (tmp_path / "outside").mkdir()
    machine = tmp_path / "machine"
    for folder in (machine, machine / "runs", machine / "weights" / "run", tmp_path / "outside"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (leftover, "mine.tmp", ".mine.tmp", "run.json"):
            (folder / name).write_bytes(b"half")
            os.utime(folder / name, (0.0, time.time() - LEFTOVER_AGE_S - 60))
    (machine / "runs" / ".fedcba9876543210.tmp").write_bytes(b"being written")
    (machine / "link").symlink_to(tmp_path / "outside")
    before = set(tmp_path.rglob("*"))
    remove_leftovers(machine)
    removed = {folder / leftover for folder in (machine, machine / "runs", machine / "weights" / "run")}
    assert set(tmp_path.rglob("*")) == before - removed
    remove_leftovers(tmp_path / "missing")
