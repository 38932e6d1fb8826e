"""Records: identity, round trip, predictions, and files that are written whole."""

import hashlib
import json
import math
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.records.record import SCHEMA_VERSION, config_key, run_id
from benchmarks.records.store import RecordStore
from fmnist_zoo.files import write_atomically
from tests.benchmarks.sample_records import START, make_config, make_flags, make_record

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=4))
CONFIGS = st.dictionaries(st.text(), JSON, max_size=6)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(item) for key, item in reversed(value.items())}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@given(CONFIGS)
def test_a_key_does_not_depend_on_the_order_of_names(config: dict[str, Any]) -> None:
    assert config_key(reordered(config)) == config_key(config)


@given(CONFIGS)
def test_a_key_survives_being_written_and_read(config: dict[str, Any]) -> None:
    assert config_key(json.loads(json.dumps(config))) == config_key(config)


@given(CONFIGS, CONFIGS)
def test_keys_are_equal_only_where_configurations_are(left: dict[str, Any], right: dict[str, Any]) -> None:
    def canonical(config: dict[str, Any]) -> str:  # 1, 1.0 and true are equal in Python and different in JSON
        return json.dumps(config, sort_keys=True)

    assert (config_key(left) == config_key(right)) == (canonical(left) == canonical(right))


@pytest.mark.parametrize(
    "change",
    [{"lr": 0.0030000001}, {"precision": "fp32"}, {"options": {"hidden": "512"}}, {"ema_decay": 0.0}, {"num_val": 0}],
    ids=str,
)
def test_every_setting_counts_for_the_key(change: dict[str, Any]) -> None:
    assert config_key(make_config(**change)) != config_key(make_config())


def test_a_key_is_the_same_in_every_version() -> None:
    # Records that were written are found by their key: changing how it is made needs a new schema version.
    canonical = b'{"model":"mlp","recipe":{"ema_decay":null,"lr":0.01},"sizes":[1,2]}'
    config = {"model": "mlp", "recipe": {"lr": 0.01, "ema_decay": None}, "sizes": (1, 2)}
    assert config_key(config) == hashlib.sha256(canonical).hexdigest()


@pytest.mark.parametrize("config", [{"lr": math.nan}, {"recipe": {"lr": math.inf}}, {"widths": {1: 2}}], ids=str)
def test_what_has_no_exact_json_has_no_key(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not JSON compliant|is not text"):
        config_key(config)


def test_a_run_is_named_after_start_model_key_and_seed() -> None:
    there = START.astimezone(timezone(timedelta(hours=9)))
    assert run_id(there, "timm/vit tiny..é", "1a2b3c4d5e", 7) == "20261121T210000.123Z-timm_vit_tiny___-1a2b3c4d-s7"


@given(st.text(min_size=1), st.integers(0, 10**9), st.datetimes(datetime(2000, 1, 1), datetime(9999, 1, 1)))
def test_a_run_has_a_safe_file_name(model: str, seed: int, start: datetime) -> None:
    name = run_id(start.replace(tzinfo=UTC), model, "0" * 64, seed)
    assert len(name) < 200
    assert Path(name).name == name
    assert name.isascii()


FLOATS = st.floats()


@settings(deadline=None)  # it writes files
@given(
    loss=FLOATS, samples=st.lists(st.floats(allow_nan=False, allow_infinity=False)), seed=st.integers(0, 2**31),
    texts=st.lists(st.text(), max_size=3), error=st.none() | st.text(), lr=st.floats(0, 1),
)  # fmt: skip
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, loss: float, samples: list[float], seed: int, texts: list[str],
    error: str | None, lr: float,
) -> None:  # fmt: skip
    record = make_record(make_config(lr=lr), seed=seed, flags=make_flags(*texts), error=error)
    record.history[0]["train_loss"] = loss
    assert record.throughput is not None
    record.throughput["train_samples_img_per_s"] = samples
    store = RecordStore(tmp_path_factory.mktemp("machine"))
    path = store.write(record)
    records, problems = store.read_all()
    record.history[0]["train_loss"] = loss if math.isfinite(loss) else None
    assert (records, problems) == ([record], [])
    assert path == store.runs_dir / f"{record.run_id}.json"


def test_a_file_holds_plain_json_and_can_be_read_by_others(tmp_path: Path) -> None:
    record = make_record()
    assert record.metrics is not None
    record.metrics["test_nll"] = math.inf
    text = RecordStore(tmp_path).write(record).read_text(encoding="utf-8")
    content = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in a record"))
    assert content["metrics"]["test_nll"] is None
    assert content["schema_version"] == SCHEMA_VERSION
    assert list(content) == sorted(content)


def test_a_record_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    record = make_record()
    assert record.metrics is not None
    record.metrics["macro_f1"] = np.float32(0.5)  # type: ignore[typeddict-item]
    with pytest.raises(ValueError, match="float32 is not JSON"):
        RecordStore(tmp_path).write(record)
    assert RecordStore(tmp_path).read_all() == ([], [])


def test_a_key_that_the_schema_does_not_name_is_not_written(tmp_path: Path) -> None:
    """It would be lost when the record is read."""
    record = make_record()
    record.ledger["naps_s"] = 3.5  # type: ignore[typeddict-unknown-key]
    with pytest.raises(ValueError, match=r"ledger has a key that benchmarks/records/schema\.py doesn't name"):
        RecordStore(tmp_path).write(record)


def test_a_configuration_says_deterministic_only_where_it_is(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    record = make_record(make_config(deterministic=True))
    store.write(record)
    assert store.read_all() == ([record], []) and record.config_key != make_record().config_key
    with pytest.raises(ValueError, match=r"\$\.config\.deterministic is str, not bool"):
        store.write(make_record(make_config(deterministic="yes"), seed=1))


def test_records_come_in_the_order_of_their_start(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    runs = [make_record(make_config(model), minutes=minutes) for minutes, model in enumerate(["mlp", "cnn", "lstm"])]
    for record in reversed(runs):
        store.write(record)
    assert store.read_all() == (runs, [])


def test_predictions_come_back(tmp_path: Path) -> None:
    store, name = RecordStore(tmp_path), make_record().run_id
    predicted = np.arange(10, dtype=np.uint8)
    confidence = np.linspace(0, 1, 10, dtype=np.float16)
    assert store.write_predictions(name, predicted, confidence) == f"{name}.safetensors"
    read = store.read_predictions(name)
    assert [array.dtype for array in read] == [np.uint8, np.float16]
    assert np.array_equal(read[0], predicted)
    assert np.array_equal(read[1], confidence)
    assert store.read_all() == ([], [])  # they are no record, and nothing to complain of


def test_predictions_that_are_missing_or_damaged_are_named(tmp_path: Path) -> None:
    store, name = RecordStore(tmp_path), make_record().run_id
    with pytest.raises(ValueError, match=f"{name}.safetensors can't be read"):
        store.read_predictions(name)
    path = store.runs_dir / store.write_predictions(name, np.zeros(3, np.uint8), np.zeros(3, np.float16))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match=f"{name}.safetensors can't be read"):
        store.read_predictions(name)
    with pytest.raises(ValueError, match=r"run_id '\.\./x' is not of the form"):
        store.read_predictions("../x")


def test_predictions_of_another_kind_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    store, name = RecordStore(tmp_path), make_record().run_id
    store.runs_dir.mkdir()
    save_file({"weights": np.zeros(3, np.float32)}, store.runs_dir / f"{name}.safetensors")
    with pytest.raises(ValueError, match="hold .*weights.*, not `predicted`"):
        store.read_predictions(name)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fmnist_zoo.files.os.fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def note(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append(("folder" if is_folder else "file", (tmp_path / "file").exists()))

    monkeypatch.setattr("fmnist_zoo.files.os.fsync", note)
    write_atomically(tmp_path / "file", b"content")
    assert flushed == [("file", False), ("folder", True)]


def _rewrite(path: Path, letter: bytes) -> None:
    for _ in range(20):
        write_atomically(path, letter * 100_000)


def test_readers_never_see_a_part_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"a" * 100_000)
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(_rewrite, path, letter) for letter in (b"b", b"c")]
        seen = {path.read_bytes()}
        while not all(writer.done() for writer in writers):
            seen.add(path.read_bytes())
    assert [writer.exception() for writer in writers] == [None, None]
    assert seen <= {letter * 100_000 for letter in (b"a", b"b", b"c")}
    assert list(tmp_path.iterdir()) == [path]
