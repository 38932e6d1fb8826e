"""Which test images each run got right, and how sure it was: read from what a machine's folder keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore

_MATCH_PCT = 0.02
"""Two images of 10,000: probabilities that round to a tie may be broken otherwise than logits were."""


@dataclass(frozen=True, slots=True)
class RunAnswers:
    """Of one run, for each test image: whether it was right, and the probability of the class it chose."""

    correct: NDArray[np.bool_]
    confidence: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers by run, and for each run without them the reason."""

    by_run: Mapping[str, RunAnswers] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def reasons(self, records: Sequence[RunRecord]) -> list[str]:
        """Why answers of these runs are missing, with how many runs each reason has."""
        counts = Counter(self.missing[run.run_id] for run in records if run.run_id in self.missing)
        return [f"{count} of {len(records)} runs: {reason}" for reason, count in sorted(counts.items())]


def read_answers(store: RecordStore, records: Sequence[RunRecord]) -> Answers:
    """Hold the predictions of runs against the test labels that lie beside them.

    A run whose predictions give another accuracy than its record has no answers: they are of another run, or the
    labels of another test set.
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
    """One run's answers; ValueError with a reason that is the same for all runs which have it."""
    assert record.metrics is not None
    if record.predictions is None or record.dataset is None:
        raise ValueError("no predictions were kept")
    checksum = record.dataset["checksum"]
    if checksum not in labels:
        if not store.labels_path(checksum).exists():
            raise ValueError("the test labels are missing; python -m benchmarks.labels adds them")
        labels[checksum] = store.read_labels(checksum)
    predicted, confidence = store.read_predictions(record.run_id)
    truth = labels[checksum]
    if len(predicted) != len(truth):
        raise ValueError("predictions and test labels differ in number")
    correct = predicted == truth
    if abs(100 * float(correct.mean()) - record.metrics["test_top1_pct"]) > _MATCH_PCT:
        raise ValueError("predictions don't have the accuracy that the record says")
    if not (np.isfinite(confidence).all() and confidence.min() >= 0 and confidence.max() <= 1):
        raise ValueError("a predicted class has a probability that is none")
    return RunAnswers(correct, confidence.astype(np.float32))
