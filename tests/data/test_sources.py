"""Where files come from: the order, what is kept, what is asked again, and what is said when nothing works."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from fmnist_zoo.data import DataUnavailableError, SourceError
from fmnist_zoo.data.catalog import SPECS
from fmnist_zoo.data.download import Outside, open_url, torchvision_mirrors
from tests.data.tiny import (
    TEST_IMAGES,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Mirror,
    Tiny,
    has_data_of,
    load,
    make_tiny,
    mirrors_at,
    offline,
    serve,
)


def any_tool(tool: str) -> str:
    """Where everything is installed."""
    return f"/usr/bin/{tool}"


class FakeApt:
    """apt-get and dpkg-deb, as far as they are used; `folder` holds the package's files."""

    def __init__(self, folder: Path, *, fails: str | None = None) -> None:
        self.folder, self.fails = folder, fails
        self.commands: list[list[str]] = []

    def __call__(self, argv: Sequence[str], *, cwd: Path, timeout_s: float) -> None:
        self.commands.append(list(argv))
        assert timeout_s > 0
        if self.fails is not None and self.fails in argv:
            raise SourceError(f"{self.fails} failed")
        if "download" in argv:
            (cwd / "dataset-tiny_1_all.deb").touch()
        elif argv[0] == "dpkg-deb":
            shutil.copytree(self.folder, Path(argv[-1]) / "usr/share/datasets/tiny")

    def outside(self, root: Path) -> Outside:
        return replace(offline(root), run=self, find_tool=any_tool)


def test_the_cache_folder_comes_first(tiny: Tiny, cache: Path, online: Outside, mirror: Mirror) -> None:
    tiny.write(cache)
    dataset = load(tiny.spec, cache, online)
    assert has_data_of(dataset, tiny)
    assert (dataset.origin, mirror.asked) == ("cache", [])


def test_then_the_folder_of_the_package(
    tiny: Tiny, cache: Path, online: Outside, mirror: Mirror, tmp_path: Path
) -> None:
    tiny.write(tmp_path / "root/usr/share/datasets/tiny")
    dataset = load(tiny.spec, cache, online)
    assert has_data_of(dataset, tiny)
    assert (dataset.origin, mirror.asked) == ("debian-package", [])


def test_then_the_mirrors_whose_files_are_kept(tiny: Tiny, cache: Path, online: Outside, mirror: Mirror) -> None:
    dataset = load(tiny.spec, cache, online)
    assert has_data_of(dataset, tiny)
    assert dataset.origin == "torchvision-mirror"
    assert mirror.asked == list(tiny.plain)
    assert {path.name: path.read_bytes() for path in cache.glob("*.gz")} == mirror_names(tiny)


def mirror_names(tiny: Tiny) -> dict[str, bytes]:
    return {f"{name}.gz": raw for name, raw in tiny.gz.items()}


def test_then_the_archive_whose_files_are_kept(tiny: Tiny, cache: Path, tmp_path: Path) -> None:
    apt = FakeApt(tiny.write(tmp_path / "package"))
    dataset = load(tiny.spec, cache, apt.outside(tmp_path / "root"))
    assert has_data_of(dataset, tiny)
    assert dataset.origin == "debian-archive"
    assert {path.name: path.read_bytes() for path in cache.glob("*.gz")} == mirror_names(tiny)
    assert [command[-1] if command[0] == "apt-get" else command[0] for command in apt.commands] == [
        "update",
        "dataset-tiny",
        "dpkg-deb",
    ]


def test_apt_is_given_folders_of_its_own(tiny: Tiny, cache: Path, tmp_path: Path) -> None:
    apt = FakeApt(tiny.write(tmp_path / "package"))
    load(tiny.spec, cache, apt.outside(tmp_path / "root"))
    for command in apt.commands[:2]:
        own = {word.split("=")[0]: Path(word.split("=")[1]) for word in command if word.startswith("Dir::")}
        assert set(own) == {"Dir::State", "Dir::State::Lists", "Dir::Cache"}
        assert all(path.parent.name.startswith("fmnist-zoo-apt-") for path in own.values())
        assert not any(path.exists() for path in own.values()), "left behind"


def test_one_failing_archive_of_apt_does_not_stop_the_download(tiny: Tiny, cache: Path, tmp_path: Path) -> None:
    apt = FakeApt(tiny.write(tmp_path / "package"), fails="update")
    assert load(tiny.spec, cache, apt.outside(tmp_path / "root")).origin == "debian-archive"


@pytest.mark.parametrize(("fails", "said"), [("download", "download failed"), ("--extract", "--extract failed")])
def test_a_failing_apt_is_one_of_the_sources_tried(
    tiny: Tiny, cache: Path, tmp_path: Path, fails: str, said: str
) -> None:
    apt = FakeApt(tiny.write(tmp_path / "package"), fails=fails)
    with pytest.raises(DataUnavailableError) as caught:
        load(tiny.spec, cache, apt.outside(tmp_path / "root"))
    assert caught.value.attempts[-1] == ("Debian's archive (apt-get download)", said)


def test_a_wrong_file_in_the_archive_is_refused(tiny: Tiny, cache: Path, tmp_path: Path) -> None:
    apt = FakeApt(make_tiny(seed=1).write(tmp_path / "package"))
    with pytest.raises(DataUnavailableError, match="MD5"):
        load(tiny.spec, cache, apt.outside(tmp_path / "root"))
    assert not list(cache.glob("*.gz"))


def test_where_nothing_works_one_error_lists_all_that_was_tried(tiny: Tiny, cache: Path, cut_off: Outside) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        load(tiny.spec, cache, cut_off)
    folder = cut_off.system_root / "usr/share/datasets/tiny"
    assert caught.value.attempts == (
        (f"cache folder {cache}", "none of 4 files (no such file)"),
        (f"Debian's package dataset-tiny, {folder}", "there is no such folder"),
        ("torchvision's mirror http://one.invalid/", "can't be reached (no network in this test)"),
        ("torchvision's mirror http://two.invalid/", "can't be reached (no network in this test)"),
        ("Debian's archive (apt-get download)", "apt-get isn't installed"),
    )
    message = str(caught.value)
    assert all(f"{source}: {said}" in message for source, said in caught.value.attempts)
    assert len(caught.value.remedies) == 2
    assert "FMNIST_ZOO_DATA" in message and "apt-get install dataset-tiny" in message


def test_a_dataset_without_a_package_has_no_debian_in_its_error(tiny: Tiny, cache: Path, cut_off: Outside) -> None:
    with pytest.raises(DataUnavailableError) as caught:
        load(replace(tiny.spec, debian=None), cache, cut_off)
    assert len(caught.value.attempts) == 3
    assert len(caught.value.remedies) == 2
    assert "Debian" not in str(caught.value)


def test_a_torchvision_that_cannot_be_imported_is_said_so(tiny: Tiny, cache: Path, tmp_path: Path) -> None:
    def broken(_: object) -> Sequence[str]:
        raise SourceError("torchvision can't be imported (broken)")

    with pytest.raises(DataUnavailableError, match=r"torchvision's mirrors: torchvision can't be imported \(broken\)"):
        load(tiny.spec, cache, replace(offline(tmp_path / "root"), mirrors=broken))


def test_a_mirror_that_cannot_be_reached_is_asked_once(tiny: Tiny, cache: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def refuse(url: str, timeout_s: float) -> NoReturn:
        asked.append(url)
        assert 0 < timeout_s <= 15
        raise TimeoutError("timed out")

    with pytest.raises(DataUnavailableError, match="timed out"):
        load(tiny.spec, cache, replace(offline(tmp_path / "root"), open_url=refuse))
    assert asked == [f"http://{host}.invalid/{TRAIN_IMAGES}.gz" for host in ("one", "two")]


def test_what_one_mirror_lacks_comes_from_the_next(tiny: Tiny, cache: Path, mirror: Mirror, tmp_path: Path) -> None:
    del mirror.files[f"/{TRAIN_LABELS}.gz"]
    mirror.files[f"/{TEST_IMAGES}.gz"] = b"<!DOCTYPE html>"
    with serve(mirror_names(tiny)) as second:
        outside = replace(offline(tmp_path / "root"), open_url=open_url, mirrors=mirrors_at(mirror.url, second.url))
        assert has_data_of(load(tiny.spec, cache, outside), tiny)
        assert second.asked == [TRAIN_LABELS, TEST_IMAGES]


@pytest.mark.parametrize("bad", [b"", b"junk", bytes(200_000)])
def test_a_bad_download_is_never_kept(tiny: Tiny, cache: Path, online: Outside, mirror: Mirror, bad: bytes) -> None:
    mirror.files[f"/{TEST_IMAGES}.gz"] = bad
    with pytest.raises(DataUnavailableError, match=f"{mirror.url}{TEST_IMAGES}.gz: expected"):
        load(tiny.spec, cache, online)
    assert not (cache / f"{TEST_IMAGES}.gz").exists()


def test_a_download_that_breaks_off_is_never_kept(tiny: Tiny, cache: Path, online: Outside, mirror: Mirror) -> None:
    mirror.cut_to_bytes = 1000
    with pytest.raises(DataUnavailableError):
        load(tiny.spec, cache, online)
    mirror.cut_to_bytes = None
    assert has_data_of(load(tiny.spec, cache, online), tiny)


def test_only_bad_cached_files_are_fetched_again(
    tiny: Tiny, cache: Path, online: Outside, mirror: Mirror, caplog: pytest.LogCaptureFixture
) -> None:
    tiny.write(cache, changed={f"{TRAIN_LABELS}.gz": b"", f"{TEST_IMAGES}.gz": make_tiny(seed=1).gz[TEST_IMAGES]})
    with caplog.at_level(logging.WARNING):
        dataset = load(tiny.spec, cache, online)
    assert has_data_of(dataset, tiny)
    assert dataset.origin == "cache + torchvision-mirror"
    assert mirror.asked == [TRAIN_LABELS, TEST_IMAGES]
    for name in mirror.asked:
        assert (cache / f"{name}.gz").read_bytes() == tiny.gz[name]
        assert f"{name}.gz: expected" in caplog.text


def test_mirrors_and_checksums_are_those_of_torchvision() -> None:
    import torchvision.datasets

    for spec in SPECS.values():
        theirs = getattr(torchvision.datasets, spec.torchvision_class)
        assert list(torchvision_mirrors(spec)) == theirs.mirrors
        assert [name for name, _ in theirs.resources] == [f"{file.name}.gz" for file in spec.files]
        if spec.files[0].gz_md5 is not None:
            assert [digest for _, digest in theirs.resources] == [file.gz_md5 for file in spec.files]
        if spec.name != "mnist":  # torchvision spells the digits out
            assert tuple(theirs.classes) == spec.class_names


def test_no_command_is_run_where_the_files_are_at_hand(tiny: Tiny, cache: Path, tmp_path: Path) -> None:
    tiny.write(cache)
    load(tiny.spec, cache, replace(offline(tmp_path / "root"), find_tool=any_tool))
