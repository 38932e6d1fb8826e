"""Tables of mistakes for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from benchmarks.report.mistakes.votes import Votes

MOST_ROWS = 20
"""Limit for tables of selected images; the errors of one class are shown in full."""


def all_text(votes: Votes, title: str, label: int | None) -> str:
    """The whole text report.

    Args:
        votes: of comparable runs.
        title: their machine and conditions.
        label: a class whose errors are shown in full.
    """
    blocks = [
        f"{title}: {len(votes.voters)} rows, {votes.num_runs} runs, {len(votes.labels):,} test images",
        voter_table(votes),
        f"most common confusions, images per run (mean over rows)\n\n{confusion_table(votes)}",
        wrong_for_all_text(votes),
    ]
    if len(votes.models) > 1:
        blocks.append(disputed_text(votes))
    if label is not None:
        blocks.append(class_text(votes, label))
    return "\n\n".join(blocks)


def voter_table(votes: Votes) -> str:
    """A row for each voter: accuracy, best and worst class, most common confusion."""
    names = votes.class_names
    rows = []
    for voter in votes.voters:
        recalls, confusions = votes.recalls(voter), votes.confusions([voter])
        best, worst = int(np.nanargmax(recalls)), int(np.nanargmin(recalls))
        top = confusions[0] if confusions else None
        rows.append(
            [
                voter.label,
                str(len(voter.predicted)),
                f"{100 * (voter.predicted == votes.labels).mean():.2f}",
                f"{names[best]} {100 * recalls[best]:.1f}%",
                f"{names[worst]} {100 * recalls[worst]:.1f}%",
                f"{names[top.true]} as {names[top.predicted]}: {top.num_images:.4g}" if top else "none",
            ]
        )
    headers = ["model", "runs", "top-1, %", "best class", "worst class", "most common confusion"]
    return tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "left", "left", "left"))


def confusion_table(votes: Votes) -> str:
    """The most common confusions over all voters, with their frequency by architecture."""
    names = votes.class_names
    matrices = [votes.mean_confusion_matrix(votes.voters_of(model)) for model in votes.models]
    rows = [
        [
            names[one.true],
            names[one.predicted],
            f"{one.num_images:.1f}",
            *(f"{matrix[one.true, one.predicted]:.1f}" for matrix in matrices),
        ]
        for one in votes.confusions(votes.voters)[: MOST_ROWS // 2]
    ]
    headers = ["true class", "predicted class", "all", *votes.models]
    align = ("left", "left", *["right"] * (1 + len(matrices)))
    return tabulate(rows, headers, disable_numparse=True, colalign=align if rows else None)


def wrong_for_all_text(votes: Votes) -> str:
    """The images misclassified by every run: their number, and the most confident ones."""
    images = votes.wrong_for_all()
    num_same = np.count_nonzero(votes.entropy_bits[images] == 0)
    text = (
        f"wrong in every run: {len(images)} of {len(votes.labels):,} test images "
        f"({100 * len(images) / len(votes.labels):.2f}%); on {num_same} of them all runs predict the same class, so "
        "the label may be wrong"
    )
    rows = [
        [
            str(image),
            votes.class_names[votes.labels[image]],
            named_text(votes, image),
            f"{100 * votes.mean_confidence[image]:.1f}%",
        ]
        for image in images[:MOST_ROWS].tolist()
    ]
    return _with_table(text, rows, ["test image", "label", "predicted (runs)", "mean confidence"], len(images))


def disputed_text(votes: Votes) -> str:
    """The images with the most disagreement between architectures."""
    images = votes.most_disputed()
    text = (
        f"runs disagree on {len(images):,} test images ({100 * len(images) / len(votes.labels):.2f}%); "
        "most disagreement between architectures first"
    )
    rows = [
        [
            str(image),
            votes.class_names[votes.labels[image]],
            named_text(votes, image),
            f"{votes.entropy_bits[image]:.2f}",
        ]
        for image in images[:MOST_ROWS].tolist()
    ]
    return _with_table(text, rows, ["test image", "label", "predicted (runs)", "entropy of votes, bit"], len(images))


def class_text(votes: Votes, label: int) -> str:
    """All images of a class that any run misclassifies, with the wrong predictions by architecture."""
    images = votes.errors_of(label)
    name, total = votes.class_names[label], int((votes.labels == label).sum())
    text = (
        f"errors of {name}: {len(images)} of its {total:,} test images are misclassified by at least one run; columns: "
        "wrong predictions of each architecture with the highest probability, empty if correct"
    )
    rows = [
        [
            str(image),
            f"{votes.num_wrong[image]}/{votes.num_runs}",
            *(_said(votes, model, image) for model in votes.models),
        ]
        for image in images.tolist()
    ]
    return _with_table(text, rows, ["test image", "wrong", *votes.models], len(rows))


def named_text(votes: Votes, image: int) -> str:
    """Predicted classes of an image with numbers of runs, most frequent first."""
    return ", ".join(f"{votes.class_names[label]} {count}" for label, count in votes.named(image))


def _said(votes: Votes, model: str, image: int) -> str:
    """Wrong predictions of an architecture for an image, with the highest confidence over its runs."""
    said: dict[int, float] = {}
    for voter in votes.voters_of(model):
        for label, confidence in zip(
            voter.predicted[:, image].tolist(), voter.confidence[:, image].tolist(), strict=True
        ):
            if label != votes.labels[image]:
                said[label] = max(said.get(label, 0.0), confidence)
    return ", ".join(f"{votes.class_names[label]} {100 * confidence:.0f}%" for label, confidence in said.items())


def _with_table(text: str, rows: Sequence[Sequence[str]], headers: Sequence[str], total: int) -> str:
    """A sentence, its table, and the number of omitted rows."""
    if not rows:
        return text
    table = tabulate(rows, headers, disable_numparse=True)
    return f"{text}\n\n{table}" + (f"\n({total - len(rows):,} more)" if total > len(rows) else "")
