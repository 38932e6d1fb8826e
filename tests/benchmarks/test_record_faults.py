"""Folders of records with files in them that are none: each is named with the reason and skipped."""

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.records.json_files import decode_versioned
from benchmarks.records.record import SCHEMA_VERSION, RunRecord
from benchmarks.records.store import RecordStore
from fmnist_zoo.files import WriteError, write_atomically
from tests.benchmarks.sample_records import make_flags, make_metrics, make_record
from tests.full_disk import room_for


def damaged(**changes: Any) -> bytes:
    """A record's file with fields replaced; `...` leaves one out."""
    record = make_record()
    content = {name: getattr(record, name) for name in record.__dataclass_fields__} | changes
    return json.dumps({name: value for name, value in content.items() if value is not ...}).encode()


def with_part(part: str, **changes: Any) -> dict[str, Any]:
    return {part: {**getattr(make_record(), part), **changes}}


METRICS = make_metrics(90.0)
FAULTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not JSON, or cut short"),
    "cut short": (damaged()[:700], "not JSON, or cut short"),
    "not text": (b"\xff\xfe\x00\x01", "not JSON, or cut short"),
    "not a number": (damaged().replace(b"12.5", b"NaN"), "not JSON, or cut short: .*invalid character"),
    "an infinite number": (damaged().replace(b"12.5", b"1e999"), "is a number out of range"),
    "deeper than Python reads": (b'{"schema_version": 4, "config": ' + b"[" * 200_000, "nested too deeply"),
    "another program's": (b'{"name": "x"}', r"\$ has no schema_version"),
    "a list": (b"[]", r"\$ is array, not object"),
    "newer": (damaged(schema_version=SCHEMA_VERSION + 1), f"version {SCHEMA_VERSION + 1} is newer"),
    "older than any": (damaged(schema_version=0), "version 0 is older"),
    "of a version that is read no more": (damaged(schema_version=2), "version 2 is older than this program's"),
    "truth for a version": (damaged(schema_version=True), r"\$\.schema_version is bool, not int"),
    "a field missing": (damaged(seed=...), r"\$ has no seed"),
    "a field too many": (damaged(colour="red"), "unknown field colour"),
    "text for a number": (damaged(seed="0"), r"\$\.seed is str, not int"),
    "truth for a number": (damaged(seed=True), r"\$\.seed is bool, not int"),
    "a huge number": (damaged(num_params=10**400), r"\$\.num_params is an integer of more than 64 bits"),
    "an unknown status": (damaged(status="fine"), r"\$\.status is 'fine', which it can't be"),
    "a part of another kind": (damaged(metrics="good"), r"\$\.metrics is str, not object"),
    "a part without a field": (damaged(ledger={"wall_s": 1.0}), r"\$\.ledger has no import_s"),
    "a wrong item": (damaged(history=[None]), r"\$\.history\[0\] is null, not object"),
    "a path for a run_id": (damaged(run_id="../../evil"), "run_id '../../evil' is not of the form"),
    "another run's name": (damaged(run_id=make_record(seed=9).run_id), "doesn't have the name"),
    "a time without a zone": (damaged(started_at="2026-11-21 21:00"), "not a UTC time"),
    "a time that there is not": (damaged(started_at="2026-02-30T21:00:00Z"), "not a UTC time"),
    "predictions elsewhere": (damaged(predictions="../../etc/passwd"), "'../../etc/passwd' is not the name of a file"),
    "predictions of the system": (damaged(predictions="/etc/passwd"), "is not the name of a file in the machine's"),
    "weights elsewhere": (damaged(weights="weights/../../x"), "is not the name of a file in the machine's"),
    "weights on a drive": (damaged(weights="C:\\x"), "is not the name of a file in the machine's"),
    "a page elsewhere": (damaged(profile={"page": "../x.md", "trace": "profiles/x"}), "is not the name of a file"),
    "a trace that acts": (
        damaged(profile={"page": "profiles/x", "trace": "javascript:x"}),
        "is not the name of a file",
    ),
    "a changed configuration": (damaged(**with_part("config", preset="full")), "configuration was changed afterwards"),
    "a ragged matrix": (damaged(metrics=METRICS | {"confusion_matrix": [[1]]}), "not 10 x 10"),
    "no classes": (damaged(metrics=METRICS | {"per_class": [], "confusion_matrix": []}), "not 0 x 0"),
    "an impossible accuracy": (damaged(metrics=METRICS | {"test_top1_pct": 101.0}), "not between 0 and 100"),
    "another accuracy": (
        damaged(metrics=METRICS | {"test_top1_pct": 98.0}),
        "is 98, and the confusion matrix counts 90",
    ),
    "ok without scores": (damaged(metrics=None), "status is ok, but there are no metrics"),
    "no budget": (damaged(**with_part("config", recipe={})), "recipe has no budget"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_is_no_record_is_named_and_skipped(tmp_path: Path, fault: str) -> None:
    content, reason = FAULTS[fault]
    store = RecordStore(tmp_path)
    good = make_record(seed=1)
    store.write(good)
    bad = store.runs_dir / f"{make_record().run_id}.json"
    bad.write_bytes(content)
    records, problems = store.read_all()
    assert records == [good]
    assert [problem.name for problem in problems] == [bad.name]
    with pytest.raises(ValueError, match=reason):
        raise ValueError(problems[0].reason)


def test_foreign_files_are_named_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(make_record())
    (store.runs_dir / "notes.txt").write_text("hello")
    (store.runs_dir / "folder.json").mkdir()
    (store.runs_dir / "dangling.json").symlink_to("nowhere")
    os.mkfifo(store.runs_dir / "pipe.json")
    (store.runs_dir / ".abc.tmp").write_text("half")
    (store.runs_dir / "endless.json").symlink_to("/dev/zero")
    (store.runs_dir / "loop.json").symlink_to("loop.json")
    (store.runs_dir / "model.safetensors").write_bytes(b"of somebody else")
    (store.runs_dir / "up.json").symlink_to("..")
    with (store.runs_dir / "sparse.json").open("wb") as stream:
        stream.truncate(1 << 40)  # takes no room on the disk
    os.mkfifo(store.runs_dir / f"{make_record(seed=1).run_id}.safetensors")
    (store.runs_dir / f"{make_record(seed=2).run_id}.safetensors").touch()  # of a run that was killed before its record
    records, problems = store.read_all()
    assert len(records) == 1
    assert [problem.name for problem in problems] == [
        f"{make_record(seed=1).run_id}.safetensors", "dangling.json", "endless.json", "folder.json", "loop.json",
        "model.safetensors", "notes.txt", "pipe.json", "sparse.json", "up.json",
    ]  # fmt: skip


def test_a_file_that_can_not_be_read_is_named_and_skipped(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(make_record())
    (store.runs_dir / "x.json").symlink_to("/proc/self/mem")  # which not even root may read from its beginning
    records, problems = store.read_all()
    assert len(records) == 1
    assert [problem.name for problem in problems] == ["x.json"] and "Input/output error" in problems[0].reason


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "sparse", "cut short", "not its header's"])
def test_predictions_and_labels_of_any_kind_are_named_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    store, name = RecordStore(tmp_path), make_record().run_id
    store.write_predictions(name, np.zeros(3, np.uint8), np.zeros(3, np.float16))
    store.write_labels("5f1c0e", np.zeros(3, np.uint8))
    for path in (store.runs_dir / f"{name}.safetensors", store.labels_path("5f1c0e")):
        whole = path.read_bytes()
        path.unlink()
        if kind == "a pipe":
            os.mkfifo(path)
        elif kind == "a folder":
            path.mkdir()
        elif kind == "sparse":
            with path.open("wb") as stream:
                stream.truncate(1 << 40)
        else:
            path.write_bytes(whole[:-2] if kind == "cut short" else b"\xff" * 8 + whole[8:])
    with pytest.raises(ValueError, match=f"{name}.safetensors can't be read"):
        store.read_predictions(name)
    with pytest.raises(ValueError, match=r"test-labels-5f1c0e\.safetensors can't be read"):
        store.read_labels("5f1c0e")


def test_without_room_the_record_that_was_there_stays(tmp_path: Path) -> None:
    store, record = RecordStore(tmp_path), make_record()
    path = store.write(record)
    with room_for(1000), pytest.raises(WriteError, match=rf"can't write {path}: File too large; free some space"):
        store.write(make_record(num_params=1))
    assert store.read_all() == ([record], [])
    assert list(store.runs_dir.iterdir()) == [path]


def test_a_folder_without_runs_has_no_records(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "file"):
        assert RecordStore(path).read_all() == ([], [])


def places(value: Any, path: str = "$") -> Iterator[tuple[Any, str | int, str]]:
    """All places in parsed JSON, innermost last: what holds it, its key, and its path in an error."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        where = f"{path}.{key}" if isinstance(key, str) else f"{path}[{key}]"
        yield value, key, where
        yield from places(item, where)


def full_record() -> RunRecord:
    """A record with all parts but a few."""
    return make_record(
        profile={"page": "profiles/x.md", "trace": "profiles/x.trace"},
        latency={"1": {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "num_samples": 9}},
        energy={"train_j": 1.5, "train_j_per_1000_img": None, "run_j": 2},
        step_shares={"forward_ms": 1.0, "backward_ms": 2.0, "optimizer_ms": 0.5, "num_samples": 20},
        flags=make_flags("slow"), code_checksum="0" * 64,
    )  # fmt: skip


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
WRONG: list[Any] = [None, True, 7, 7.5, -(2**63), 2**70, "text", [], {}, [None], {"a": 1}]
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4))


@settings(deadline=None)
@given(st.data())
def test_a_flipped_or_cut_record_is_read_as_one_or_named(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = RecordStore(tmp_path_factory.mktemp("machine"))
    path = store.write(make_record())
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(raw[: data.draw(st.just(len(raw)) | st.integers(0, len(raw)))])
    records, problems = store.read_all()
    assert len(records) + len(problems) == 1
    for record in records:  # a digit may have changed, and nothing else: it is still a record that could be written
        assert record.config == make_record().config and record.run_id == path.stem
        store.write(record)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_value_of_another_kind_is_named_with_its_place_or_read_as_itself(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    store = RecordStore(tmp_path_factory.mktemp("machine"))
    path = store.write(full_record())
    content = json.loads(path.read_bytes())
    holder, key, where = data.draw(st.sampled_from(list(places(content))), "place")
    holder[key] = data.draw(st.sampled_from(WRONG), "value")
    path.write_text(json.dumps(content), encoding="utf-8")
    records, problems = store.read_all()
    assert len(records) + len(problems) == 1
    if records:
        assert json.loads(store.write(records[0]).read_bytes()) == content
    elif problems[0].reason.startswith("$"):
        named = re.escape(problems[0].reason.split(" ")[0]).replace(re.escape("[...]"), r"\.\w+")
        assert any(re.fullmatch(named, place) for place in (where, f"{where}[0]", f"{where}.a"))


def test_no_integer_of_a_record_has_more_than_64_bits(tmp_path: Path) -> None:
    content = json.loads(RecordStore(tmp_path).write(full_record()).read_bytes())
    numbers = [place for place in places(content) if type(place[0][place[1]]) is int and "recipe" not in place[2]]
    for holder, key, where in numbers:
        value, holder[key] = holder[key], 2**70
        with contextlib.suppress(ValueError):  # refused, or read as a float
            record = decode_versioned(json.dumps(content).encode(), RunRecord, SCHEMA_VERSION)
            assert str(2**70) not in json.dumps(dataclasses.asdict(record)), where
        holder[key] = value


@settings(deadline=None)
@given(st.data())
def test_a_record_without_what_is_measured_anew_is_read_and_others_are_not(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """What a later program measures needs no new version; what each record has isn't guessed."""
    store = RecordStore(tmp_path_factory.mktemp("machine"))
    path = store.write(full_record())
    content = json.loads(path.read_bytes())
    field = data.draw(st.sampled_from(dataclasses.fields(RunRecord)))
    del content[field.name]
    path.write_text(json.dumps(content), encoding="utf-8")
    records, problems = store.read_all()
    if field.default is None:
        assert getattr(records[0], field.name) is None and problems == []
    else:
        assert records == [] and problems[0].reason == f"$ has no {field.name}"


def test_a_key_that_a_part_does_not_know_is_passed_over(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    path = store.write(make_record())
    path.write_text(path.read_text().replace('"wall_s"', '"naps_s": 3.5, "wall_s"'), encoding="utf-8")
    assert store.read_all() == ([make_record()], [])


def test_text_that_utf_8_has_no_form_for_is_written_with_question_marks(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(make_record(command="run --out \udcff"))
    (record,), problems = store.read_all()
    assert record.command == "run --out ?" and problems == []


@settings(deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_content_of_a_file_is_fatal(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    store = RecordStore(tmp_path_factory.mktemp("machine"))
    write_atomically(store.runs_dir / "x.json", content)
    records, problems = store.read_all()
    assert (len(records), len(problems)) == (0, 1)
    assert problems[0].reason
