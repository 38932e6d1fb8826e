"""Results to look at: three models whose mistakes are known image by image, on the real test images."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from fmnist_zoo.data import Dataset
from tests.benchmarks.sample_records import CLASSES, make_config, make_environment, make_record, write_records

HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"
NUM_WRONG = {"cnn": 700, "mlp": 1000, "lstm": 850}
"""Images that each model gets wrong in every run, the first ones of the test split; each seed has five more."""
SPEEDS = {"cnn": 5000.0, "mlp": 40000.0, "lstm": 15000.0}


def predicted(model: str, seed: int, labels: np.ndarray) -> np.ndarray:
    """The classes that a run names: wrong ones by one class, for seeds beyond the first some by two."""
    wrong = np.arange(NUM_WRONG[model] + 5 * seed)
    found = labels.copy()
    found[wrong] = (labels[wrong] + np.where(wrong % 7 < seed, 2, 1)) % 10
    return found.astype(np.uint8)


def put_results(out: Path, dataset: Dataset) -> None:
    """A machine with two sets, one of them with text that means harm, and a second machine, twice as fast."""
    labels = dataset.test.labels.numpy()
    for name, factor in (("first", 1.0), ("second", 2.0)):
        store = RecordStore(out / name)
        store.write_labels(dataset.checksum, labels.astype(np.uint8))
        for model in NUM_WRONG:
            for seed in range(3):
                _put_run(store, model, seed, dataset, factor)
    hostile = make_record(make_config(HOSTILE, budget="epochs:1"), command=HOSTILE, top1_pct=88.0)
    failed = make_record(
        make_config("mlp", budget="epochs:1"), top1_pct=None, status="failed", error=HOSTILE, predictions=None
    )
    write_records(out / "first", hostile, failed)


def _put_run(store: RecordStore, model: str, seed: int, dataset: Dataset, factor: float) -> None:
    labels = dataset.test.labels.numpy()
    named = predicted(model, seed, labels)
    matrix = np.bincount(labels * 10 + named, minlength=100).reshape(10, 10)
    top1_pct = float(100 * matrix.trace() / len(labels))

    def edit(record: RunRecord) -> None:
        assert record.metrics and record.throughput and record.dataset
        record.metrics["confusion_matrix"] = matrix.tolist()
        record.metrics["test_top1_pct"] = top1_pct
        record.throughput["train_img_per_s"] = SPEEDS[model] * factor
        record.dataset["checksum"] = dataset.checksum
        record.history = [_epoch(place, seed, top1_pct) for place in range(1, 6)]
        record.ledger["train_s"] = 200_000 / SPEEDS[model] / factor

    environment = make_environment(cpu_model=f"processor {store.machine_dir.name}")
    record = make_record(make_config(model), seed=seed, edit=edit, environment=environment)
    confidence = np.linspace(0.99, 0.5, len(labels)).astype(np.float16)
    store.write(dataclasses.replace(record, predictions=store.write_predictions(record.run_id, named, confidence)))


def _epoch(place: int, seed: int, top1_pct: float) -> Any:
    return {
        "epoch": place, "train_loss": 1 / place, "train_top1_pct": 80 + 3.0 * place, "val_loss": 1.2 / place,
        "val_top1_pct": top1_pct - 5 + place + seed / 10, "lr": 0.001, "elapsed_s": 4.0 * place,
    }  # fmt: skip


def class_index(name: str) -> int:
    """The label of a class."""
    return CLASSES.index(name)
