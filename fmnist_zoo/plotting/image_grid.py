"""Grids of small images with captions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray

from fmnist_zoo.plotting.style import INK, drawable

# Lengths in image pixels: a cell is PITCH wide, with lines of text below the picture.
SIDE, PITCH, GAP, LINE = 28, 40, 4, 5
INCHES_PER_PIXEL = 1.15 / PITCH
TITLE_IN = 0.45


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tile:
    """A picture, grey values from 0 (background) to 255, with lines of text below; the last may be coloured."""

    pixels: UInt8[ndarray, "28 28"]
    lines: tuple[str, ...]
    color: str = INK


def picture_sheet(tiles: Sequence[Tile], title: str, *, columns: int = 8) -> Figure:
    """A figure with tiles in rows, articles dark on white. Call it inside `looks`.

    Raises:
        ValueError: no tiles.
    """
    if not tiles:
        raise ValueError("tiles is empty: a sheet needs at least one picture")
    num_rows = math.ceil(len(tiles) / columns)
    row_height = SIDE + LINE * max(len(tile.lines) for tile in tiles) + GAP
    height, width = num_rows * row_height, min(columns, len(tiles)) * PITCH
    canvas = np.zeros((height, width), np.uint8)
    width_in = max(width * INCHES_PER_PIXEL, 4.0)  # room for the title above a single picture
    height_in = height * INCHES_PER_PIXEL
    figure = Figure(figsize=(width_in, height_in + TITLE_IN))
    FigureCanvasAgg(figure)
    share = height_in / (height_in + TITLE_IN)
    axes = figure.add_axes((0, 0, width * INCHES_PER_PIXEL / width_in, share))
    axes.set_axis_off()
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * row_height, (place % columns) * PITCH + (PITCH - SIDE) // 2
        canvas[top : top + SIDE, left : left + SIDE] = tile.pixels
        for number, line in enumerate(tile.lines):
            is_last = number == len(tile.lines) - 1
            axes.text(
                left + SIDE / 2,
                top + SIDE + (number + 0.6) * LINE,
                drawable(line, 24),
                ha="center",
                va="center",
                fontsize=7.5,
                color=tile.color if is_last else INK,
            )
    axes.imshow(canvas, cmap="gray_r", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="nearest")
    figure.text(0.1 / width_in, 1 - 0.12 / (height_in + TITLE_IN), drawable(title, 110), va="top", fontsize=10)
    return figure
