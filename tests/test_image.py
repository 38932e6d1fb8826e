"""Anybody's picture becomes one such as the dataset's."""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fmnist_zoo.data import Dataset
from fmnist_zoo.predict.image import Picture, convert, read_picture


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def article(width: int, height: int, *, margin: int, ink: str = "black", paper: str = "white") -> Image.Image:
    """A plain block on a background."""
    image = Image.new("RGB", (width + 2 * margin, height + 2 * margin), paper)
    image.paste(Image.new("RGB", (width, height), ink), (margin, margin))
    return image


def picture_or_sentence(read: Callable[[], Picture]) -> Picture | str:
    try:
        return read()
    except ValueError as error:
        return str(error)


def extent(picture: Picture) -> tuple[int, int, int, int]:
    """First row, rows, first column, columns in which something is brighter than half."""
    rows, columns = (np.flatnonzero((picture.pixels > 127).any(axis)) for axis in (1, 0))
    return int(rows[0]), len(rows), int(columns[0]), len(columns)


@pytest.mark.parametrize("white", [False, True])
def test_an_image_of_the_dataset_comes_back_as_it_was(fashion_mnist: Dataset, tmp_path: Path, white: bool) -> None:
    for index in range(100):
        pixels = fashion_mnist.test.images[index, 0].numpy()
        path = saved(Image.fromarray(255 - pixels if white else pixels), tmp_path / "picture.png")
        picture = read_picture(path)
        assert np.array_equal(picture.pixels, pixels) and picture.inverted == white


def test_hardly_any_image_of_the_dataset_is_taken_for_one_on_white(fashion_mnist: Dataset) -> None:
    """Articles that reach into corners don't mislead."""
    images = fashion_mnist.test.images[:2000, 0].numpy()
    assert not any(convert(Image.fromarray(pixels).convert("RGB")).inverted for pixels in images)
    assert all(convert(Image.fromarray(255 - pixels).convert("RGB")).inverted for pixels in images)


@pytest.mark.parametrize(("ink", "paper"), [("black", "white"), ("white", "black"), ("navy", "#f8f8f8")])
@pytest.mark.parametrize(
    ("size", "expected"), [((100, 300), (0, 28, 9, 9)), ((400, 200), (7, 14, 0, 28)), ((50, 50), (0, 28, 0, 28))]
)
def test_an_article_is_trimmed_fitted_and_put_in_the_middle(
    size: tuple[int, int], expected: tuple[int, int, int, int], ink: str, paper: str
) -> None:
    picture = convert(article(*size, margin=37, ink=ink, paper=paper))
    assert extent(picture) == expected
    assert picture.pixels[0, 0] == 0 or expected[0] == expected[2] == 0
    assert picture.inverted == (paper != "black")


@pytest.mark.parametrize(("paper", "inks"), [("#f5efe0", ("black", "#7a7770")), ("#303030", ("white", "#979797"))])
def test_a_background_that_is_not_quite_white_or_black_is_none(paper: str, inks: tuple[str, str]) -> None:
    """As in the dataset, whose articles stood on white: its backgrounds are 0."""
    for ink, expected in zip(inks, (255, 128), strict=True):
        picture = convert(article(200, 400, margin=50, ink=ink, paper=paper))
        assert picture.pixels[14, 14] == pytest.approx(expected, abs=2)
        assert not picture.pixels[:, :7].any() and not picture.pixels[:, 21:].any()


def test_what_is_within_five_percent_of_the_background_is_trimmed_and_no_more() -> None:
    near, far = (255 - round(share * 255) for share in (0.04, 0.08))
    image = article(40, 40, margin=20)
    for width, grey in ((70, near), (60, far)):
        image.paste((grey, grey, grey), (40 - width // 2, 0, 40 + width // 2, 20))
    assert extent(convert(image.crop((0, 10, 80, 80))))[1] < 28  # the strip of the darker grey is part of the article
    light = article(40, 40, margin=20)
    light.paste((near, near, near), (5, 0, 75, 20))
    assert extent(convert(light)) == (0, 28, 0, 28)


def test_transparent_parts_are_white(tmp_path: Path) -> None:
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    image.paste((10, 20, 30, 255), (20, 10, 40, 50))
    picture = read_picture(saved(image, tmp_path / "picture.png"))
    assert picture.inverted and extent(picture) == (0, 28, 7, 14)


def test_a_photograph_taken_on_its_side_stands_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees
    picture = read_picture(saved(article(300, 100, margin=20), tmp_path / "picture.jpg", exif=exif, quality=95))
    assert extent(picture) == (0, 28, 9, 9)


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path: Path) -> None:
    deep = np.full((28, 28), 40_000, np.uint16)
    deep[0] = 0
    deep[:, 0] = deep[:, -1] = 0
    picture = read_picture(saved(Image.fromarray(deep), tmp_path / "picture.png"))
    assert picture.pixels.max() == 40_000 // 257 and not picture.inverted


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("1", "png"), ("L", "png"), ("LA", "png"), ("P", "gif"), ("RGB", "bmp"), ("RGBA", "webp"), ("CMYK", "tif")],
)
def test_every_kind_of_image_is_read(mode: str, ending: str, tmp_path: Path) -> None:
    path = saved(article(60, 30, margin=10).convert(mode), tmp_path / f"picture.{ending}")
    assert extent(read_picture(path)) == (7, 14, 0, 28)


def test_greys_of_unknown_range_are_refused(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.ones((30, 30), np.float32)), tmp_path / "picture.tif")
    with pytest.raises(ValueError, match="32-bit greys have no known range"):
        read_picture(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an image"),
        (b"GIF89a", "can't be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "can't be read"),
        (b"hello", "not an image"),
    ],
)
def test_a_file_that_is_no_image_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_picture(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_an_empty_picture_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nothing.png doesn't exist"):
        read_picture(tmp_path / "nothing.png")
    with pytest.raises(ValueError, match="only one colour"):
        read_picture(saved(Image.new("RGB", (50, 50), "white"), tmp_path / "white.png"))


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    """A small picture in several formats."""
    found = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        article(20, 30, margin=5, ink="teal").save(buffer, format=kind)
        found.append(buffer.getvalue())
    return found


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_file_gives_a_picture_or_a_sentence(data: st.DataObject, files: list[bytes], tmp_path: Path) -> None:
    content = bytearray(data.draw(st.sampled_from(files)))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "picture"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of what it makes of a damaged file
        found = picture_or_sentence(lambda: read_picture(path))
    if isinstance(found, Picture):
        assert found.pixels.shape == (28, 28) and found.pixels.dtype == np.uint8
    else:
        assert str(path) in found


@given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_any_picture_has_the_right_form(width: int, height: int, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = picture_or_sentence(lambda: convert(Image.fromarray(rgb)))
    if isinstance(found, Picture):
        assert found.pixels.shape == (28, 28) and found.original.shape[2] == 3
    else:  # so few pixels that they are of one colour
        assert "only one colour" in found and width * height < 10
