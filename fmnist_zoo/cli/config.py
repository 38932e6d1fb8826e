"""The typed options of `python -m fmnist_zoo`. Parsing them imports no torch, so that --help is quick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

DatasetName = Literal["fashion_mnist", "mnist", "kmnist"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ListConfig:
    """Show models with their family, parameters, multiply-accumulates and best recorded accuracy."""

    models: tyro.conf.Positional[tuple[str, ...]] = ()
    """Names, globs (lstm*, timm/resnet*), all (the five families) or tutorials. Default: every registered model."""
    results: Path | None = None
    """A results folder, or that of one machine, for the accuracies. Default: results, where it is there."""
    plugin: tuple[Path, ...] = ()
    """Python files that register further models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribeConfig:
    """Show a model's layers with output shapes, parameters, multiply-accumulates, receptive fields and its weights.

    The weights are those of initialisation with seed 0, or as they were trained where a folder is named.
    """

    models: tyro.conf.Positional[tuple[str, ...]]
    """Names, globs, timm/NAME, or folders of trained models (results/MACHINE/weights/RUN_ID)."""
    weights: bool = False
    """Show the first values of weights and biases beside their statistics."""
    set: tuple[str, ...] = ()
    """Model options: mlp.hidden=256-128-64."""
    plugin: tuple[Path, ...] = ()
    """Python files that register further models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Show what is in a dataset, find near-duplicates between its parts, and draw a sample and the classes."""

    dataset: DatasetName = "fashion_mnist"
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    near: float = 10.0
    """Two images are near-duplicates where the root of the mean squared difference of their pixels is at most this many
    of the 255 grey values."""
    figures: Path = Path("figures")
    """Where the figures go, as SVG and PNG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictConfig:
    """Classify your own pictures, of any size and colour, on white or black, or the test split, by a trained model."""

    pictures: tyro.conf.Positional[tuple[str, ...]] = ()
    """Image files, globs, or folders of image files."""
    model: str
    """Folder of a trained model (results/MACHINE/weights/RUN_ID), or a glob for one; `python -m benchmarks.run
    --save-weights` makes them."""
    test_split: bool = False
    """Classify the images that the model was tested on, in place of pictures."""
    figure: Path | None = None
    """File for a figure: each picture, what the model sees of it, and a bar for each class (.svg, .png or .pdf)."""
    json: bool = False
    """Print JSON in place of a table."""
    dataset: DatasetName = "fashion_mnist"
    """Of the test split."""
    data_dir: Path | None = None
    """Folder with the files of the test split. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    plugin: tuple[Path, ...] = ()
    """Python files that register further models."""


Command = (
    Annotated[ListConfig, tyro.conf.subcommand("list")]
    | Annotated[DescribeConfig, tyro.conf.subcommand("describe")]
    | Annotated[DataConfig, tyro.conf.subcommand("data")]
    | Annotated[PredictConfig, tyro.conf.subcommand("predict")]
)
