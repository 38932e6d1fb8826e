"""Sheets show every picture, with its words below it."""

import numpy as np
import pytest
from matplotlib.text import Text

from fmnist_zoo.plotting.image_grid import Tile, picture_sheet
from fmnist_zoo.plotting.style import looks


def tiles(count: int) -> list[Tile]:
    return [Tile(pixels=np.full((28, 28), 1 + place, np.uint8), lines=(f"#{place}", "Bag")) for place in range(count)]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 30])
def test_every_picture_is_there_and_nothing_overlaps(count: int) -> None:
    with looks():
        figure = picture_sheet(tiles(count), "A title", columns=8)
        figure.draw_without_rendering()
        (axes,) = figure.axes
        (shown,) = axes.get_images()
        num_pixels = np.bincount(np.asarray(shown.get_array()).ravel().astype(int), minlength=count + 1)
        texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
        boxes = [text.get_window_extent() for text in texts]
    assert num_pixels[1:].tolist() == [28 * 28] * count
    assert len(texts) == 2 * count + 1
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_a_sheet_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        picture_sheet([], "A title")
