"""Misclassified test images of each row, packed for the HTML page, and the gallery over all rows of a set."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.answers import Answers
from benchmarks.report.mistakes.votes import Voter, Votes, read_votes
from benchmarks.report.rows import Section

MOST_SHOWN = 60
"""Images in each part of the gallery."""

PACKED = np.dtype([("image", "<u2"), ("predicted", "u1"), ("runs", "u1"), ("confidence_pct", "u1")])
"""One image and wrong class: the number of runs that predict it, and their mean confidence."""
MOST_IMAGES = 1 << 16


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Mistakes of a set's runs.

    Attributes:
        votes: of runs with usable predictions; None if there are none.
        checksum: of the dataset that they were tested on.
        reasons: why predictions of runs are missing.
    """

    votes: Votes | None
    checksum: str | None
    reasons: Sequence[str]


def section_mistakes(section: Section, store: RecordStore, answers: Answers) -> Mistakes:
    """Votes of the runs of a section that have valid predictions on the same test images."""
    runs = [record for row in section.rows for record in row.ok]
    reasons = answers.reasons(runs)
    usable = [run for run in runs if run.run_id in answers.by_run and run.dataset]
    if not usable:
        return Mistakes(None, None, reasons)
    checksum, names = _tested_on(usable[0])
    same = {run.run_id for run in usable if _tested_on(run) == (checksum, names)}
    if others := len(usable) - len(same):
        reasons = [*reasons, f"{others} of {len(runs)} runs: tested on other images"]
    rows = [replace(row, records=[run for run in row.records if run.run_id in same]) for row in section.rows]
    labels = store.read_labels(checksum).astype(np.int64)
    if len(labels) > MOST_IMAGES or labels.max(initial=0) >= len(names):
        return Mistakes(None, None, [*reasons, "the test labels don't fit the classes"])
    part = Section(section.conditions, [row for row in rows if row.records])
    try:
        votes = read_votes(part, store, labels=labels, class_names=names, checksum=checksum)
    except ValueError as error:
        return Mistakes(None, None, [*reasons, str(error)])
    return Mistakes(votes, checksum, reasons)


def packed_errors(votes: Votes, voter: Voter) -> str:
    """Errors of a row's runs as base64, an entry of `PACKED` for each image and wrong class."""
    runs, images = np.nonzero(voter.predicted != votes.labels)
    size = len(votes.class_names)
    keys, places = np.unique(images * size + voter.predicted[runs, images], return_inverse=True)
    counts = np.bincount(places, minlength=len(keys))
    sure = np.bincount(places, weights=voter.confidence[runs, images], minlength=len(keys))
    packed = np.empty(len(keys), PACKED)
    packed["image"], packed["predicted"] = keys // size, keys % size
    packed["runs"] = np.minimum(counts, 255)
    packed["confidence_pct"] = np.rint(100 * sure / np.maximum(counts, 1))
    return base64.b64encode(packed.tobytes()).decode()


def gallery(votes: Votes) -> dict[str, Any]:
    """Images misclassified by every run, and those with the most disagreement between architectures, with votes."""
    wrong, disputed = votes.wrong_for_all(), votes.most_disputed() if len(votes.models) > 1 else np.array([], np.int64)
    return {
        "num_images": len(votes.labels),
        "num_runs": votes.num_runs,
        "num_wrong_for_all": len(wrong),
        "num_disputed": len(disputed),
        "wrong_for_all": [_told(votes, image, votes.mean_confidence) for image in wrong[:MOST_SHOWN].tolist()],
        "disputed": [_told(votes, image, votes.entropy_bits) for image in disputed[:MOST_SHOWN].tolist()],
    }


def _told(votes: Votes, image: int, values: NDArray[np.float64]) -> dict[str, Any]:
    return {"image": image, "named": votes.named(image), "value": float(values[image])}


def ranking(found: Sequence[Votes]) -> NDArray[np.int64]:
    """All test images by priority of their pictures.

    Gallery images come first, then the four easiest of each class, then the rest by descending share of wrong runs.

    Args:
        found: votes of sets on the same test images, at least one.
    """
    shown = [votes.wrong_for_all()[:MOST_SHOWN] for votes in found]
    shown += [votes.most_disputed()[:MOST_SHOWN] for votes in found if len(votes.models) > 1]
    share = np.sum([votes.num_wrong for votes in found], axis=0) / sum(votes.num_runs for votes in found)
    easiest = np.argsort(share, kind="stable")
    labels = found[0].labels
    right = [easiest[labels[easiest] == label][:4] for label in range(len(found[0].class_names))]
    hardest = np.argsort(-share, kind="stable")
    order = np.concatenate([*shown, *right, hardest[share[hardest] > 0], easiest])
    _, first = np.unique(order, return_index=True)
    return order[np.sort(first)]


def _tested_on(record: RunRecord) -> tuple[str, tuple[str, ...]]:
    assert record.dataset is not None
    return record.dataset["checksum"], tuple(record.dataset["class_names"])


def labels_text(labels: NDArray[np.int64]) -> str:
    """True classes of all test images, a byte each, as base64."""
    return base64.b64encode(labels.astype(np.uint8).tobytes()).decode()


def voters_by_label(votes: Votes | None) -> Mapping[str, Voter]:
    """Voters by the label of their row."""
    return {voter.label: voter for voter in votes.voters} if votes else {}
