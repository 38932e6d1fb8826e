"""Correctness and confidence of each run on each test image, read from a machine's folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore

_MATCH_PCT = 0.02
"""Two images of 10,000: rounded probabilities may tie where logits did not."""


@dataclass(frozen=True, slots=True)
class RunAnswers:
    """Correctness and probability of the predicted class, by test image `(images,)`, for one run."""

    correct: NDArray[np.bool_]
    confidence: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers by run, and the reason for each run without them."""

    by_run: Mapping[str, RunAnswers] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def reasons(self, records: Sequence[RunRecord]) -> list[str]:
        """Reasons for missing answers of these runs, with counts."""
        counts = Counter(self.missing[run.run_id] for run in records if run.run_id in self.missing)
        return [f"{count} of {len(records)} runs: {reason}" for reason, count in sorted(counts.items())]


def read_answers(store: RecordStore, records: Sequence[RunRecord]) -> Answers:
    """Compare the predictions of runs with the stored test labels.

    Runs whose predictions contradict the accuracy in their record get no answers: one of the files is not theirs.
    """
    found: dict[str, RunAnswers] = {}
    missing: dict[str, str] = {}
    labels: dict[str, NDArray[np.uint8]] = {}
    for record in records:
        if record.metrics is None:
            continue
        try:
            found[record.run_id] = _answers(store, record, labels)
        except ValueError as error:
            missing[record.run_id] = str(error)
    return Answers(found, missing)


def _answers(store: RecordStore, record: RunRecord, labels: dict[str, NDArray[np.uint8]]) -> RunAnswers:
    """One run's answers; ValueError with a reason that names no run, so that reasons can be counted."""
    assert record.metrics is not None
    if record.predictions is None or record.dataset is None:
        raise ValueError("no predictions saved")
    checksum = record.dataset["checksum"]
    if checksum not in labels:
        if not store.labels_path(checksum).exists():
            raise ValueError("test labels are missing; add them with python -m benchmarks.labels")
        labels[checksum] = store.read_labels(checksum)
    predicted, confidence = store.read_predictions(record.run_id)
    truth = labels[checksum]
    if len(predicted) != len(truth):
        raise ValueError("different numbers of predictions and test labels")
    correct = predicted == truth
    if abs(100 * float(correct.mean()) - record.metrics["test_top1_pct"]) > _MATCH_PCT:
        raise ValueError("accuracy of the predictions contradicts the record")
    if not (np.isfinite(confidence).all() and confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("a probability is not between 0 and 1")
    return RunAnswers(correct, confidence.astype(np.float32))
