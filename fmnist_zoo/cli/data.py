"""`python -m fmnist_zoo data`: a dataset in numbers and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from tabulate import tabulate

from fmnist_zoo.cli.config import DataConfig
from fmnist_zoo.data.datasets import Dataset, load_dataset
from fmnist_zoo.data.explore import (
    FileChecksum,
    NearPair,
    SplitSummary,
    file_checksums,
    near_duplicates,
    sample_indices,
    summarize,
)
from fmnist_zoo.data.splits import Split
from fmnist_zoo.files import check_writable, write_atomically
from fmnist_zoo.plotting.image_grid import Tile, picture_sheet
from fmnist_zoo.plotting.style import MUTED, OTHER_COLORS, looks, new_figure, saved

SHOWN_PAIRS = 40
"""Most near-duplicates drawn; the table has all."""


def data_text(options: DataConfig) -> str:
    """Write the figures and return the text.

    Raises:
        ValueError: an option is invalid.
        DataError: the dataset is unavailable.
        OSError: the figures can't be written.
    """
    check_writable(options.figures, "--figures", options.figures)
    dataset = load_dataset(options.dataset, root=options.data_dir)
    summaries = {"train": summarize(dataset.train), "test": summarize(dataset.test)}
    pairs = near_duplicates(dataset, options.near)
    files = write_figures(dataset, summaries, pairs, options.figures)
    return "\n\n".join(
        [
            f"{dataset.name}, from: {dataset.origin}\nchecksum {dataset.checksum}",
            split_table(summaries),
            class_table(summaries, dataset.class_names),
            checksum_table(file_checksums(dataset)),
            duplicates_text(pairs, dataset, options.near),
            f"{len(files)} figures in {options.figures}: {', '.join(file.name for file in files)}",
        ]
    )


def split_table(summaries: dict[str, SplitSummary]) -> str:
    """Number, shape and pixel statistics of the images, by split."""
    rows = [
        [
            name,
            f"{part.num_images:,}",
            " x ".join(map(str, part.image_shape)),
            f"{part.least_pixel} to {part.greatest_pixel}",
            f"{part.mean:.6f}",
            f"{part.std:.6f}",
            f"{100 * part.background_share:.1f}",
        ]
        for name, part in summaries.items()
    ]
    headers = ["part", "images", "shape", "pixels", "mean (0 to 1)", "std", "zero pixels, %"]
    return tabulate(rows, headers, disable_numparse=True, colalign=("left", *["right"] * 6))


def class_table(summaries: dict[str, SplitSummary], class_names: Sequence[str]) -> str:
    """Images of each class, by split."""
    rows = [
        [str(label), name, *(f"{part.class_counts[label]:,}" for part in summaries.values())]
        for label, name in enumerate(class_names)
    ]
    align = ("right", "left", "right", "right")
    return tabulate(rows, ["label", "class", *summaries], disable_numparse=True, colalign=align)


def checksum_table(checksums: Sequence[FileChecksum]) -> str:
    """MD5 of each file's content, and whether it is the published one."""
    rows = [
        [one.name, one.md5, "not published" if one.expected is None else "yes" if one.md5 == one.expected else "no"]
        for one in checksums
    ]
    return tabulate(rows, ["file", "MD5, decompressed", "as published"], disable_numparse=True)


def duplicates_text(pairs: Sequence[NearPair], dataset: Dataset, limit: float) -> str:
    """Test images with a near-duplicate in the training split: count and list."""
    num_test, train, test = len(dataset.test), dataset.train.labels, dataset.test.labels
    others = sum(int(test[pair.test_index] != train[pair.train_index]) for pair in pairs)
    same = sum(pair.rms_difference == 0 for pair in pairs)
    text = (
        f"near-duplicates: {len(pairs)} of {num_test:,} test images ({100 * len(pairs) / num_test:.2f}%) are within an "
        f"RMS difference of {limit:g} grey values (0 to 255) of their nearest training image;\n"
        f"{same} are identical to it, {others} have a different label"
    )
    rows = [
        [
            f"{pair.rms_difference:.2f}",
            str(pair.test_index),
            dataset.class_names[int(test[pair.test_index])],
            str(pair.train_index),
            dataset.class_names[int(train[pair.train_index])],
        ]
        for pair in pairs
    ]
    if not rows:
        return text
    headers = ["RMS difference", "test image", "class", "training image", "class"]
    table = tabulate(rows, headers, disable_numparse=True, colalign=("right", "right", "left", "right", "left"))
    return f"{text}\n\n{table}"


def write_figures(
    dataset: Dataset, summaries: dict[str, SplitSummary], pairs: Sequence[NearPair], folder: Path
) -> list[Path]:
    """Draw samples, classes and any near-duplicates as SVG and PNG; returns the files."""
    written = []
    with looks():
        figures = {
            "samples": sample_sheet(dataset),
            "classes": class_figure(summaries, dataset),
            **({"near-duplicates": duplicates_sheet(pairs, dataset)} if pairs else {}),
        }
        for name, figure in figures.items():
            for suffix, content in saved(figure).items():
                written.append(folder / f"{dataset.name}-{name}.{suffix}")
                write_atomically(written[-1], content)
    return written


def sample_sheet(dataset: Dataset) -> Figure:
    """The first training images of each class, one row per class. Call it inside `looks`."""
    indices = sample_indices(dataset.train, per_class=10).tolist()
    tiles = [_tile(dataset, dataset.train, index) for index in indices]
    return picture_sheet(tiles, f"{dataset.name}: the first training images of each class", columns=10)


def class_figure(summaries: dict[str, SplitSummary], dataset: Dataset) -> Figure:
    """Images of each class in both splits, as bars. Call it inside `looks`."""
    figure, axes = new_figure(8.0, 4.0)
    places = np.arange(len(dataset.class_names))
    for offset, color, (name, part) in zip((-0.2, 0.2), (OTHER_COLORS[0], MUTED), summaries.items(), strict=True):
        bars = axes.barh(places + offset, part.class_counts, 0.4, color=color, label=f"{name}, {part.num_images:,}")
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=7.5)
    axes.set_yticks(places, dataset.class_names)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_xlim(0, 1.12 * max(max(part.class_counts) for part in summaries.values()))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("images")
    axes.set_title(f"{dataset.name}: classes")
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
    return figure


def duplicates_sheet(pairs: Sequence[NearPair], dataset: Dataset) -> Figure:
    """The closest pairs, each test image followed by its training image. Call it inside `looks`."""
    tiles = []
    for pair in pairs[:SHOWN_PAIRS]:
        tiles.append(_tile(dataset, dataset.test, pair.test_index, f"test {pair.test_index}"))
        tiles.append(_tile(dataset, dataset.train, pair.train_index, f"train {pair.train_index}"))
    shown = min(len(pairs), SHOWN_PAIRS)
    title = f"{dataset.name}: the {shown} closest of {len(pairs)} pairs of test and training images"
    return picture_sheet(tiles, title, columns=8)


def _tile(dataset: Dataset, split: Split, index: int, *lines: str) -> Tile:
    """An image with lines of text and its class below it."""
    name = dataset.class_names[int(split.labels[index])]
    return Tile(pixels=split.images[index, 0].numpy(), lines=(*lines, name))
