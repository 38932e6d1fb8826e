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
    """Results folder, or that of one machine, to read accuracies from. Default: results, if it exists."""
    plugin: tuple[Path, ...] = ()
    """Python files that register more models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DescribeConfig:
    """Show a model's layers with output shapes, parameters, multiply-accumulates, receptive fields and weights.

    Weights are initialised with seed 0, or trained ones if a folder is named.
    """

    models: tyro.conf.Positional[tuple[str, ...]]
    """Names, globs, timm/NAME, or folders of trained models (results/MACHINE/weights/RUN_ID)."""
    weights: bool = False
    """Show the first values of each weight beside its statistics."""
    set: tuple[str, ...] = ()
    """Model options, such as mlp.hidden=256-128-64."""
    plugin: tuple[Path, ...] = ()
    """Python files that register more models."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Show what is in a dataset, find near-duplicates between its splits, and draw a sample and the classes."""

    dataset: DatasetName = "fashion_mnist"
    """Dataset to look at."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    near: float = 10.0
    """Largest RMS difference between near-duplicates, in grey values (0 to 255)."""
    figures: Path = Path("figures")
    """Folder for the figures, as SVG and PNG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictConfig:
    """Classify pictures of any size and colour, on white or black, or the test split, with a trained model."""

    pictures: tyro.conf.Positional[tuple[str, ...]] = ()
    """Image files, globs, or folders of image files."""
    model: str
    """Folder of a trained model (results/MACHINE/weights/RUN_ID), or a glob for one. `python -m benchmarks.run
    --save-weights` creates them."""
    test_split: bool = False
    """Classify the test images instead of pictures."""
    figure: Path | None = None
    """Draw each picture, what the model sees, and its class probabilities into this file (.svg, .png or .pdf)."""
    json: bool = False
    """Print JSON instead of a table."""
    dataset: DatasetName = "fashion_mnist"
    """Dataset of the test split."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    plugin: tuple[Path, ...] = ()
    """Python files that register more models."""


Command = (
    Annotated[ListConfig, tyro.conf.subcommand("list")]
    | Annotated[DescribeConfig, tyro.conf.subcommand("describe")]
    | Annotated[DataConfig, tyro.conf.subcommand("data")]
    | Annotated[PredictConfig, tyro.conf.subcommand("predict")]
)
