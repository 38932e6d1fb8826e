"""Predictions of comparable runs side by side, and what follows from them."""

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
    """A configuration, and what its runs say of the test images.

    Attributes:
        label: of its row in the tables.
        model: its architecture.
        predicted: classes `(runs, n)`.
        confidence: the probabilities that the runs give them `(runs, n)`, from 0 to 1.
    """

    label: str
    model: str
    predicted: NDArray[np.uint8]
    confidence: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """Images of one class taken for another: how many in a run, on average."""

    true: int
    predicted: int
    num_images: float


@dataclass(frozen=True, kw_only=True)
class Votes:
    """All voters of a section, on the same test images.

    Attributes:
        voters: in the order of the tables; at least one.
        labels: true classes `(n,)`.
        class_names: by class.
    """

    voters: list[Voter]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]

    @cached_property
    def num_runs(self) -> int:
        """Of all voters."""
        return sum(len(voter.predicted) for voter in self.voters)

    @cached_property
    def models(self) -> list[str]:
        """The architectures, in the order of the tables."""
        return list(dict.fromkeys(voter.model for voter in self.voters))

    def voters_of(self, model: str) -> list[Voter]:
        """The configurations of an architecture."""
        return [voter for voter in self.voters if voter.model == model]

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """`(n, classes)`: which share of the votes each class has: a vote an architecture, split among its runs."""
        images = np.arange(len(self.labels))
        total = np.zeros((len(self.labels), len(self.class_names)))
        for model in self.models:
            runs = [run for voter in self.voters_of(model) for run in voter.predicted]
            for run in runs:
                total[images, run] += 1 / len(runs) / len(self.models)
        return total

    @cached_property
    def num_wrong(self) -> NDArray[np.int64]:
        """`(n,)`: in how many runs an image is taken for a wrong class."""
        return np.sum([(voter.predicted != self.labels).sum(0) for voter in self.voters], axis=0)

    @cached_property
    def mean_confidence(self) -> NDArray[np.float64]:
        """`(n,)`: of the runs, each in the class that it names."""
        return np.sum([voter.confidence.sum(0, dtype=np.float64) for voter in self.voters], axis=0) / self.num_runs

    @cached_property
    def entropy_bits(self) -> NDArray[np.float64]:
        """`(n,)`: the entropy of each image's votes: 0 where all agree, 1 bit for two classes with equal votes."""
        logs = np.log2(np.where(self.shares > 0, self.shares, 1.0))
        return np.maximum(-(self.shares * logs).sum(1).round(9), 0.0)  # thirds of a vote may not add up to 1

    def named(self, image: int) -> list[tuple[int, int]]:
        """The classes that runs name for an image with the number of runs, the most named first."""
        said = np.concatenate([voter.predicted[:, image] for voter in self.voters])
        counts = np.bincount(said, minlength=len(self.class_names))
        return [(label, int(counts[label])) for label in np.argsort(-counts, kind="stable").tolist() if counts[label]]

    def wrong_for_all(self) -> NDArray[np.int64]:
        """The images that every run of every architecture gets wrong, those of which the runs are surest first."""
        return _sorted(np.flatnonzero(self.num_wrong == self.num_runs), -self.mean_confidence)

    def most_disputed(self) -> NDArray[np.int64]:
        """The images on which runs are not of one mind, those whose votes have the highest entropy first."""
        return _sorted(np.flatnonzero(self.entropy_bits > 0), -self.entropy_bits, self.mean_confidence)

    def errors_of(self, label: int) -> NDArray[np.int64]:
        """The images of a class that some run gets wrong, those that most runs get wrong first."""
        return _sorted(np.flatnonzero((self.labels == label) & (self.num_wrong > 0)), -self.num_wrong)

    def recalls(self, voter: Voter) -> NDArray[np.float64]:
        """`(classes,)`: the share of each class's images that a voter finds, mean over runs; NaN without an image."""
        matrix = self.confusion_matrix(voter)
        totals = matrix.sum(1)
        return np.divide(matrix.diagonal(), totals, out=np.full(len(totals), np.nan), where=totals > 0)

    def confusion_matrix(self, voter: Voter) -> NDArray[np.float64]:
        """Images by true class (rows) and predicted class, mean over a voter's runs."""
        size = len(self.class_names)
        pairs = self.labels * size + voter.predicted  # (runs, n)
        return np.bincount(pairs.ravel(), minlength=size * size).reshape(size, size) / len(voter.predicted)

    def mean_confusion_matrix(self, voters: Sequence[Voter]) -> NDArray[np.float64]:
        """Images of a run by true class (rows) and predicted class, mean over voters."""
        return np.mean([self.confusion_matrix(voter) for voter in voters], axis=0)

    def confusions(self, voters: Sequence[Voter]) -> list[Confusion]:
        """What is taken for what, the most common first: images in a run, mean over voters."""
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
    """The predictions of a section's runs that ended well and kept them.

    Args:
        section: of the machine whose folder `store` is.
        store: has the predictions.
        labels: true classes of the test images `(n,)`.
        class_names: by class.
        checksum: of the dataset that labels and names are of.

    Raises:
        ValueError: no run kept predictions, they can't be read, or they are of other images.
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
                    f"run {record.run_id} was tested on other images than those at hand (checksum differs)"
                )
            classes, probabilities = store.read_predictions(record.run_id)
            if classes.shape != labels.shape or classes.max(initial=0) >= len(class_names):
                raise ValueError(
                    f"predictions of {record.run_id} don't fit {len(labels):,} test images: make them again"
                )
            predicted.append(classes)
            confidence.append(probabilities.astype(np.float32))
        if predicted:
            model, stacked = row.config["model"], np.stack(predicted)
            voters.append(Voter(label=row.label, model=model, predicted=stacked, confidence=np.stack(confidence)))
    if not voters:
        raise ValueError("no run of this section kept its predictions; run `python -m benchmarks.run` again")
    return Votes(voters=voters, labels=labels, class_names=class_names)


def _sorted(images: NDArray[np.int64], *keys: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Images by their values in `keys`, the first key first, then by index."""
    return images[np.lexsort([images, *(key[images] for key in reversed(keys))])]
