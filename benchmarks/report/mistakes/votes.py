"""Predictions of comparable runs as votes: confusions, common errors and disagreement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.records.store import RecordStore
from benchmarks.report.rows import Section


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Voter:
    """A configuration and the predictions of its runs on the test images.

    Attributes:
        label: row label in tables.
        model: architecture.
        predicted: classes `(runs, n)`.
        confidence: probabilities of the predicted classes `(runs, n)`, from 0 to 1.
    """

    label: str
    model: str
    predicted: NDArray[np.uint8]
    confidence: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """Images of one class predicted as another, mean per run."""

    true: int
    predicted: int
    num_images: float


@dataclass(frozen=True, kw_only=True)
class Votes:
    """All voters of a section, on the same test images.

    Attributes:
        voters: in table order; at least one.
        labels: true classes `(n,)`.
        class_names: by class.
    """

    voters: list[Voter]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    @cached_property
    def num_runs(self) -> int:
        """Number of runs over all voters."""
        return sum(len(voter.predicted) for voter in self.voters)

    @cached_property
    def models(self) -> list[str]:
        """The architectures, in table order."""
        return list(dict.fromkeys(voter.model for voter in self.voters))

    def voters_of(self, model: str) -> list[Voter]:
        """The configurations of an architecture."""
        return [voter for voter in self.voters if voter.model == model]

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Share of votes by class `(n, classes)`: one vote per architecture, split among its runs."""
        images = np.arange(len(self.labels))
        total = np.zeros((len(self.labels), len(self.class_names)))
        for model in self.models:
            runs = [run for voter in self.voters_of(model) for run in voter.predicted]
            for run in runs:
                total[images, run] += 1 / len(runs) / len(self.models)
        return total

    @cached_property
    def num_wrong(self) -> NDArray[np.int64]:
        """Number of runs that misclassify each image `(n,)`."""
        return np.sum([(voter.predicted != self.labels).sum(0) for voter in self.voters], axis=0)

    @cached_property
    def mean_confidence(self) -> NDArray[np.float64]:
        """Mean confidence of the runs in their predictions `(n,)`."""
        return np.sum([voter.confidence.sum(0, dtype=np.float64) for voter in self.voters], axis=0) / self.num_runs

    @cached_property
    def entropy_bits(self) -> NDArray[np.float64]:
        """Entropy of each image's votes `(n,)`: 0 if all agree, 1 bit for two classes with equal votes."""
        logs = np.log2(np.where(self.shares > 0, self.shares, 1.0))
        return np.maximum(-(self.shares * logs).sum(1).round(9), 0.0)  # thirds of a vote may not add up to 1

    def named(self, image: int) -> list[tuple[int, int]]:
        """Predicted classes of an image with numbers of runs, most frequent first."""
        said = np.concatenate([voter.predicted[:, image] for voter in self.voters])
        counts = np.bincount(said, minlength=len(self.class_names))
        return [(label, int(counts[label])) for label in np.argsort(-counts, kind="stable").tolist() if counts[label]]

    def wrong_for_all(self) -> NDArray[np.int64]:
        """Images misclassified by every run, most confident first."""
        return _sorted(np.flatnonzero(self.num_wrong == self.num_runs), -self.mean_confidence)

    def most_disputed(self) -> NDArray[np.int64]:
        """Images on which runs disagree, by descending entropy of votes."""
        return _sorted(np.flatnonzero(self.entropy_bits > 0), -self.entropy_bits, self.mean_confidence)

    def errors_of(self, label: int) -> NDArray[np.int64]:
        """Images of a class misclassified by any run, by descending number of such runs."""
        return _sorted(np.flatnonzero((self.labels == label) & (self.num_wrong > 0)), -self.num_wrong)

    def recalls(self, voter: Voter) -> NDArray[np.float64]:
        """Recall of a voter by class `(classes,)`, mean over runs; NaN for a class without images."""
        matrix = self.confusion_matrix(voter)
        totals = matrix.sum(1)
        return np.divide(matrix.diagonal(), totals, out=np.full(len(totals), np.nan), where=totals > 0)

    def confusion_matrix(self, voter: Voter) -> NDArray[np.float64]:
        """Images by true class (rows) and predicted class (columns), mean over a voter's runs."""
        size = len(self.class_names)
        pairs = self.labels * size + voter.predicted  # (runs, n)
        return np.bincount(pairs.ravel(), minlength=size * size).reshape(size, size) / len(voter.predicted)

    def mean_confusion_matrix(self, voters: Sequence[Voter]) -> NDArray[np.float64]:
        """Images per run by true class (rows) and predicted class (columns), mean over voters."""
        return np.mean([self.confusion_matrix(voter) for voter in voters], axis=0)

    def confusions(self, voters: Sequence[Voter]) -> list[Confusion]:
        """Confusions in images per run, mean over voters, most common first."""
        matrix = self.mean_confusion_matrix(voters)
        found = [
            Confusion(true=true, predicted=predicted, num_images=float(matrix[true, predicted]))
            for true, predicted in np.argwhere(matrix).tolist()
            if true != predicted
        ]
        return sorted(found, key=lambda one: (-one.num_images, one.true, one.predicted))


def read_votes(
    section: Section, store: RecordStore, *, labels: NDArray[np.int64], class_names: tuple[str, ...], checksum: str
) -> Votes:
    """The saved predictions of a section's successful runs.

    Args:
        section: of the machine that `store` belongs to.
        store: has the predictions.
        labels: true classes of the test images `(n,)`.
        class_names: by class.
        checksum: of the dataset of labels and class names.

    Raises:
        ValueError: no run saved predictions, they can't be read, or they are of other images.
    """
    voters = []
    for row in section.rows:
        predicted: list[NDArray[np.uint8]] = []
        confidence: list[NDArray[np.float32]] = []
        for record in row.ok:
            if record.predictions is None:
                continue
            if record.dataset is None or record.dataset["checksum"] != checksum:
                raise ValueError(
                    f"run {record.run_id} was tested on another dataset than the one available (checksum differs)"
                )
            classes, probabilities = store.read_predictions(record.run_id)
            if classes.shape != labels.shape or classes.max(initial=0) >= len(class_names):
                raise ValueError(
                    f"predictions of {record.run_id} don't fit {len(labels):,} test images: repeat the run"
                )
            predicted.append(classes)
            confidence.append(probabilities.astype(np.float32))
        if predicted:
            model, stacked = row.config["model"], np.stack(predicted)
            voters.append(Voter(label=row.label, model=model, predicted=stacked, confidence=np.stack(confidence)))
    if not voters:
        raise ValueError("no run of this section saved its predictions; run `python -m benchmarks.run` again")
    return Votes(voters=voters, labels=labels, class_names=class_names)


def _sorted(images: NDArray[np.int64], *keys: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Images sorted by `keys`, in order of priority, then by index."""
    return images[np.lexsort([images, *(key[images] for key in reversed(keys))])]
