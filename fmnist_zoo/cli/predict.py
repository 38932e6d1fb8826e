"""`python -m fmnist_zoo predict`: classify pictures or the test split with a trained model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from tabulate import tabulate
from torch import Tensor

from fmnist_zoo.checkpoint import Checkpoint, load_checkpoint
from fmnist_zoo.cli.config import PredictConfig
from fmnist_zoo.cli.predict_figure import SUFFIXES, Shown, write_figure
from fmnist_zoo.data.datasets import load_dataset
from fmnist_zoo.data.splits import Split
from fmnist_zoo.evaluation import scores
from fmnist_zoo.predict.classify import as_images, class_probabilities, find_checkpoint, find_pictures, top_guesses
from fmnist_zoo.predict.image import read_picture
from fmnist_zoo.registry import load_plugin

MOST_SHOWN = 20
"""Most pictures in one readable figure."""


def predict_text(options: PredictConfig) -> str:
    """Predictions as a table or JSON; writes the figure if requested.

    Raises:
        ValueError: an argument is invalid.
        DataError: the test split is unavailable.
        OSError: the figure can't be written.
    """
    if bool(options.pictures) == options.test_split:
        raise ValueError("give either pictures (files, globs or folders) or --test-split")
    if options.figure is not None and options.figure.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--figure {options.figure} must end in {', '.join(SUFFIXES)}")
    for path in options.plugin:
        load_plugin(path)
    checkpoint = load_checkpoint(find_checkpoint(options.model))
    if options.test_split:
        return _test_split_text(checkpoint, options)
    return _pictures_text(checkpoint, find_pictures(options.pictures), options)


def _pictures_text(checkpoint: Checkpoint, paths: Sequence[Path], options: PredictConfig) -> str:
    pictures = [read_picture(path) for path in paths]
    probabilities = class_probabilities(checkpoint, as_images(pictures))
    names = checkpoint.config["class_names"]
    if options.figure is not None:
        shown = [
            Shown(name=path.name, original=picture.original, pixels=picture.pixels, probabilities=row.tolist())
            for path, picture, row in zip(paths, pictures, probabilities, strict=True)
        ]
        _draw(shown, names, options.figure)
    if options.json:
        return _json(checkpoint, probabilities, [{"picture": str(path)} for path in paths])
    rows = [
        [str(path), *(f"{guess.class_name} {100 * guess.probability:.1f}%" for guess in top_guesses(row, names))]
        for path, row in zip(paths, probabilities, strict=True)
    ]
    return tabulate(rows, ["picture", "prediction", "second", "third"], disable_numparse=True)


def _test_split_text(checkpoint: Checkpoint, options: PredictConfig) -> str:
    dataset = load_dataset(options.dataset, root=options.data_dir)
    names = checkpoint.config["class_names"]
    if tuple(names) != dataset.class_names:
        raise ValueError(
            f"--model {options.model} was trained on the classes {', '.join(names)}, not those of {dataset.name}; "
            "name its own dataset with --dataset"
        )
    split = dataset.test
    probabilities = class_probabilities(checkpoint, split.images)
    if options.figure is not None:
        _draw(_first_shown(split, probabilities, names), names, options.figure)
    if options.json:
        entries = [{"test_index": index, "label": names[label]} for index, label in enumerate(split.labels.tolist())]
        return _json(checkpoint, probabilities, entries)
    found = scores(probabilities.log(), split.labels)
    rows = [
        [name, str(score["support"]), *(f"{100 * score[key]:.1f}" for key in ("recall", "precision"))]
        for name, score in zip(names, found["per_class"], strict=True)
    ]
    right = int((probabilities.argmax(1) == split.labels).sum())
    headers = ["class", "images", "recall, %", "precision, %"]
    table = tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "right"))
    return f"{right:,} of {len(split):,} test images correct: {found['top1_pct']:.2f}%\n\n{table}"


def _first_shown(split: Split, probabilities: Float[Tensor, "n classes"], names: Sequence[str]) -> list[Shown]:
    """The first images of a split with their true classes, for a figure."""
    shown = []
    for index in range(min(MOST_SHOWN // 2, len(split))):
        label, pixels = int(split.labels[index]), split.images[index, 0].numpy()
        name = f"test image {index}: {names[label]}"
        shown.append(
            Shown(name=name, original=None, pixels=pixels, probabilities=probabilities[index].tolist(), label=label)
        )
    return shown


def _draw(shown: Sequence[Shown], names: Sequence[str], path: Path) -> None:
    if len(shown) > MOST_SHOWN:
        raise ValueError(f"--figure shows at most {MOST_SHOWN} pictures, not {len(shown)}; name fewer")
    write_figure(shown, names, path)


def _json(checkpoint: Checkpoint, probabilities: Float[Tensor, "n classes"], entries: Sequence[dict[str, Any]]) -> str:
    """The model, and each entry with its three most probable classes."""
    names = checkpoint.config["class_names"]
    predictions = []
    for entry, row in zip(entries, torch.unbind(probabilities), strict=True):
        guesses = [
            {"class": guess.class_name, "probability": round(guess.probability, 6)} for guess in top_guesses(row, names)
        ]
        predictions.append({**entry, "guesses": guesses})
    return json.dumps({"model": checkpoint.config["model"], "predictions": predictions}, indent=1)
