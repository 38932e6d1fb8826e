"""Choices that are kept: by what, and what becomes of them when the file or the cache is no good."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measure.roofline import roofline_path
from benchmarks.records.schema import Environment
from benchmarks.sweep.earlier import choice_path, remember, remembered
from fmnist_zoo.training.choose import Choice
from tests.benchmarks.sample_records import make_environment, make_record

CHOICE = Choice(precision="bf16", engine="eager", reason="fp32 eager 100 img/s; bf16 eager 200 img/s")


def environment(**software: object) -> Environment:
    base = make_record().environment
    return {**base, "software": {**base["software"], "dirty": False, **software}}  # type: ignore[typeddict-item]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FMNIST_ZOO_CACHE", str(tmp_path))
    return tmp_path


def test_a_choice_comes_back_with_its_evidence_and_its_day() -> None:
    path = choice_path("key", environment())
    assert remembered(path) is None
    remember(path, CHOICE)
    found = remembered(path)
    assert found is not None and (found.precision, found.engine) == ("bf16", "eager")
    assert found.reason is not None and found.reason.startswith(str(CHOICE.reason)) and "(measured 20" in found.reason


def test_it_belongs_to_one_configuration_machine_and_software() -> None:
    here = choice_path("key", environment())
    assert here == choice_path("key", environment())
    others = [choice_path("other", environment()), choice_path("key", environment(torch="2.12.0"))]
    moved = environment()
    moved["hardware"]["physical_cores"] = 64
    assert len({here, *others, choice_path("key", moved)}) == 4


def test_equal_machines_share_it() -> None:
    here, there, other = (
        {**environment(), "details": make_environment(host=host, l1d_cache_kib=size)["details"]}
        for host, size in (("0a0a0a0a", 32), ("1b1b1b1b", 32), ("1b1b1b1b", 48))
    )
    assert choice_path("key", here) == choice_path("key", there) != choice_path("key", other)  # type: ignore[arg-type]
    assert roofline_path(here) == roofline_path(there) != roofline_path(other)  # type: ignore[arg-type]


def test_it_belongs_to_a_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = set()
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        paths.add(choice_path("key", environment()))
    assert len(paths) == 2


def test_sources_with_changes_keep_nothing() -> None:
    assert choice_path("key", environment(dirty=True)) is None
    assert choice_path("key", environment(dirty=None)) is None  # no checkout: edits would go unnoticed
    remember(None, CHOICE)
    assert remembered(None) is None


def test_what_was_asked_for_is_not_a_choice() -> None:
    path = choice_path("key", environment())
    remember(path, Choice(precision="fp32", engine="eager", reason=None))
    assert remembered(path) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"precision": "bf16"}', '{"precision": "fp8", "engine": "eager", "reason": "x"}',
     '{"precision": "bf16", "engine": "warp", "reason": "x"}', '{"precision": "bf16", "engine": "eager", "reason": 3}'],
)  # fmt: skip
def test_a_damaged_file_is_measured_again(text: str) -> None:
    path = choice_path("key", environment())
    assert path is not None
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert remembered(path) is None
    remember(path, CHOICE)
    assert remembered(path) is not None


def test_a_cache_that_cannot_be_written_costs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FMNIST_ZOO_CACHE", str(tmp_path / "file"))
    path = choice_path("key", environment())
    remember(path, CHOICE)
    assert remembered(path) is None
