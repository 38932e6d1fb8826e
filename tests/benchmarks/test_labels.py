"""Test labels beside the records: written by whoever has the dataset, read by reports that don't."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks.records.class_labels import add_labels
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from fmnist_zoo.data import load_dataset
from tests.benchmarks.sample_records import make_record, write_records


def with_checksum(checksum: str) -> RunRecord:
    def edit(record: RunRecord) -> None:
        assert record.dataset is not None
        record.dataset["checksum"] = checksum

    return make_record(edit=edit)


def test_the_command_adds_what_records_need(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = load_dataset("fashion_mnist", progress=False)
    machine = tmp_path / "results" / "amd-epyc-2-cores"
    write_records(machine, with_checksum(dataset.checksum))
    assert add_labels(tmp_path / "results") == 0
    assert "written" in capsys.readouterr().out
    store = RecordStore(machine)
    assert np.array_equal(store.read_labels(dataset.checksum), dataset.test.labels.numpy())
    assert store.read_all()[1] == []  # it lies where no record is looked for
    assert add_labels(machine) == 0
    assert "was there" in capsys.readouterr().out
    assert not store.keep_labels(dataset)


def test_data_of_another_kind_than_the_records_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path, with_checksum("abcdef0123456789"))
    assert add_labels(tmp_path) == 2
    assert "the records say abcdef0123456789" in capsys.readouterr().err
    assert list(tmp_path.glob("test-labels*")) == []
    assert add_labels(tmp_path / "runs") == 2
    assert "holds no runs" in capsys.readouterr().err


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    with pytest.raises(ValueError, match="can't be read"):
        store.read_labels("abcdef")
    store.labels_path("abcdef").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="can't be read"):
        store.read_labels("abcdef")
    save_file({"labels": np.zeros(3, dtype=np.float32)}, store.labels_path("abcdef"))
    with pytest.raises(ValueError, match="not `labels`"):
        store.read_labels("abcdef")
    with pytest.raises(ValueError, match="is not one of a dataset"):
        store.labels_path("../../etc")
