"""Contact sheets of test images that models classify correctly, wrongly or differently."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.report.mistakes.votes import Voter, Votes
from fmnist_zoo.files import write_atomically
from fmnist_zoo.plotting.image_grid import Tile, picture_sheet
from fmnist_zoo.plotting.style import looks, saved

RIGHT, WRONG = "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe & Ito (2008), safe for colour blindness; labels repeat the information."""
MOST_TILES = 40
MOST_OF_CLASS = 120
"""Tiles on the sheet of one class's errors."""


def write_sheets(votes: Votes, images: NDArray[np.uint8], label: int | None, folder: Path) -> list[Path]:
    """Draw all non-empty sheets as SVG and PNG; returns the files.

    Args:
        votes: of comparable runs.
        images: the test images `(n, 28, 28)`.
        label: a class whose errors are shown in full.
        folder: destination, created if missing.
    """
    written = []
    with looks():
        for name, figure in _sheets(votes, images, label):
            for suffix, content in saved(figure).items():
                written.append(folder / f"{name}.{suffix}")
                write_atomically(written[-1], content)
    return written


def _sheets(votes: Votes, images: NDArray[np.uint8], label: int | None) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each sheet, one in memory at a time."""
    found = votes.wrong_for_all()
    if len(found):
        title = f"Wrong in every run ({len(found)} test images), most confident first: label, then votes of the runs"
        yield "wrong-for-all", picture_sheet([_voted(votes, images, image) for image in found[:MOST_TILES]], title)
    disputed = votes.most_disputed()
    if len(votes.models) > 1 and len(disputed):
        title = "Most disagreement between architectures: label, then the top three classes with numbers of runs"
        yield "disputed", picture_sheet([_voted(votes, images, image) for image in disputed[:MOST_TILES]], title)
    for voter in votes.voters:
        name = _file_name(voter.label)
        wrong, right = wrong_of(votes, voter), right_of(votes, voter)
        if len(wrong):
            title = f"{voter.label}: most confident errors; label, then the predicted class and its probability"
            yield f"wrong-{name}", picture_sheet([_said(votes, images, voter, image) for image in wrong], title)
        if len(right):
            title = f"{voter.label}: correct; label, then the predicted class and its probability"
            yield f"right-{name}", picture_sheet([_said(votes, images, voter, image) for image in right], title)
    if label is not None and len(errors := votes.errors_of(label)):
        name = votes.class_names[label]
        title = f"Errors of {name}: {min(len(errors), MOST_OF_CLASS)} of {len(errors)}, by number of wrong runs"
        sheet = picture_sheet([_voted(votes, images, image) for image in errors[:MOST_OF_CLASS]], title)
        yield f"errors-{_file_name(name)}", sheet


def wrong_of(votes: Votes, voter: Voter) -> NDArray[np.int64]:
    """The most confident errors of a voter's first run."""
    wrong = np.flatnonzero(voter.predicted[0] != votes.labels)
    return wrong[np.argsort(-voter.confidence[0, wrong], kind="stable")][:MOST_TILES]


def right_of(votes: Votes, voter: Voter) -> NDArray[np.int64]:
    """The first correct images of each class in a voter's first run, class by class."""
    right = voter.predicted[0] == votes.labels
    a_class = MOST_TILES // len(votes.class_names)
    return np.concatenate(
        [np.flatnonzero(right & (votes.labels == label))[:a_class] for label in range(len(votes.class_names))]
    )


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.=-]+", "-", text)


def _said(votes: Votes, images: NDArray[np.uint8], voter: Voter, image: int) -> Tile:
    """An image with its label and the prediction of a voter's first run."""
    predicted = int(voter.predicted[0, image])
    said = f"{votes.class_names[predicted]} {100 * voter.confidence[0, image]:.0f}%"
    color = RIGHT if predicted == votes.labels[image] else WRONG
    return Tile(pixels=images[image], lines=(votes.class_names[votes.labels[image]], said), color=color)


def _voted(votes: Votes, images: NDArray[np.uint8], image: int) -> Tile:
    """An image with index, label and up to three classes with the most votes."""
    lines = [f"{votes.class_names[label]} {count}" for label, count in votes.named(image)[:3]]
    return Tile(pixels=images[image], lines=(f"#{image}", votes.class_names[votes.labels[image]], *lines))
