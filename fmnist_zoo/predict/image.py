"""Conversion of any image file into a picture like the dataset's, by its authors' procedure.

Xiao, Rasul & Vollgraf, 2017, arXiv:1708.07747, section 2, start from a shop's thumbnails of 51 x 73 pixels, an article
on white: trim edges close to the colour of the corners, subsample the longest side to 28, sharpen, centre in 28 x 28
pixels, negate and convert to grey. Their backgrounds were white, hence 0 in the dataset; here whatever is as light as
the background counts as white.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageOps
from scipy import ndimage

SIDE = 28
THUMBNAIL = 73
"""Longest side of the authors' original pictures. Larger ones are first averaged down to it."""
CLOSE = 0.05
"""Largest distance of a background pixel from the background's colour, as a share of the largest RGB distance."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """A picture converted for a model.

    Attributes:
        pixels: grey values from 0, the background, to 255.
        original: the picture before conversion, in colour, longest side at most 256.
        inverted: whether its background was light, so that its greys were negated.
    """

    pixels: UInt8[ndarray, "28 28"]
    original: UInt8[ndarray, "height width 3"]
    inverted: bool


def read_picture(path: Path) -> Picture:
    """Read and convert an image file of any format that Pillow reads.

    Raises:
        ValueError: the file is unreadable, not an image, or has only one colour.
    """
    try:
        with Image.open(path) as image:
            rgb = _rgb(image)
    except FileNotFoundError:
        raise ValueError(f"picture {path} doesn't exist") from None
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
        # Decoders raise different errors for damaged files.
        reason = "not an image that Pillow can read" if isinstance(error, Image.UnidentifiedImageError) else error
        raise ValueError(f"picture {path} can't be read: {reason}") from error
    try:
        return convert(rgb)
    except ValueError as error:
        raise ValueError(f"picture {path} {error}") from None


def convert(rgb: Image.Image) -> Picture:
    """Convert an RGB picture; see the module for the steps.

    A picture of 28 x 28 pixels is taken for one of the dataset: it is only made grey and, if its background is light,
    negated.

    Raises:
        ValueError: it has only one colour.
    """
    original = rgb.copy()
    original.thumbnail((256, 256))
    is_finished = rgb.size == (SIDE, SIDE)
    if max(rgb.size) > THUMBNAIL:
        rgb = rgb.resize(_fitted(rgb.size, THUMBNAIL), Image.Resampling.BOX)
    background = _background(np.asarray(rgb))
    inverted = _luma(background) > 127
    if not is_finished:
        rgb = _trimmed(rgb, background)
        rgb = rgb.resize(_fitted(rgb.size, SIDE), Image.Resampling.NEAREST)
    grey = np.asarray(rgb.convert("L"))
    if not is_finished:
        paper = round(_luma(background))
        grey = _levelled(_centred(_sharpened(grey), fill=paper), paper, ideal=255 if inverted else 0)
    return Picture(pixels=255 - grey if inverted else grey, original=np.asarray(original), inverted=inverted)


def _rgb(image: Image.Image) -> Image.Image:
    """Upright RGB image, on white where transparent."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow would clip at 255
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("32-bit greys have no known range; save it as an 8-bit PNG or JPEG")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _background(rgb: UInt8[ndarray, "height width 3"]) -> UInt8[ndarray, "3"]:
    """Colour of the corner that most of the border matches: an article may reach into some corners."""
    border = np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
    corners = [rgb[0, 0], rgb[0, -1], rgb[-1, 0], rgb[-1, -1]]
    return max(corners, key=lambda corner: np.count_nonzero(_is_close(border, corner)))


def _is_close(rgb: UInt8[ndarray, "*pixels 3"], color: UInt8[ndarray, "3"]) -> ndarray:
    distance = np.linalg.norm(rgb.astype(np.float64) - color.astype(np.float64), axis=-1)
    return distance <= CLOSE * 255 * math.sqrt(3)


def _luma(color: UInt8[ndarray, "3"]) -> float:
    """ITU-R BT.601 luma, as in Pillow's greys."""
    return float(color @ np.array([0.299, 0.587, 0.114]))


def _trimmed(rgb: Image.Image, background: UInt8[ndarray, "3"]) -> Image.Image:
    """Crop edge rows and columns that are all background."""
    shown = ~_is_close(np.asarray(rgb), background)
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    if not len(rows):
        raise ValueError("has only one colour, so there is nothing to classify")
    return rgb.crop((int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1))


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Width and height scaled so that the longer is `longest`."""
    width, height = (max(1, round(side * longest / max(size))) for side in size)
    return width, height


def _sharpened(grey: UInt8[ndarray, "height width"]) -> UInt8[ndarray, "height width"]:
    """Subtract the Gaussian average (radius and deviation 1), more strongly near outlines."""
    values: Float[ndarray, "height width"] = grey.astype(np.float64)
    blurred = ndimage.gaussian_filter(values, 1.0, radius=1, mode="nearest")
    edges = ndimage.gaussian_gradient_magnitude(values, 1.0, mode="nearest")
    weight = edges / max(edges.max(), 1.0)
    return np.clip(np.rint(values + weight * (values - blurred)), 0, 255).astype(np.uint8)


def _levelled(grey: UInt8[ndarray, "28 28"], paper: int, *, ideal: int) -> UInt8[ndarray, "28 28"]:
    """Stretch so that the background's grey, `paper`, becomes `ideal`: white or black."""
    opposite = 255 - ideal
    share = np.clip((grey.astype(np.float64) - opposite) / (paper - opposite), 0, 1)
    return np.rint(opposite + share * (ideal - opposite)).astype(np.uint8)


def _centred(grey: UInt8[ndarray, "height width"], *, fill: int) -> UInt8[ndarray, "28 28"]:
    height, width = grey.shape
    canvas = np.full((SIDE, SIDE), fill, np.uint8)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    canvas[top : top + height, left : left + width] = grey
    return canvas
