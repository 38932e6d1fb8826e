"""The looks that all figures share, and how they become files: the same bytes from the same figure."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from PIL import Image

# The colours of Okabe & Ito (2008), Color Universal Design, which people with any kind of colour vision tell apart.
# Yellow is left out: on white it is hardly seen.
COLORS = {
    "mlp": "#E69F00",
    "cnn": "#0072B2",
    "unet_encoder": "#009E73",
    "lstm": "#D55E00",
    "transformer": "#CC79A7",
}
OTHER_COLORS = ("#56B4E9", "#000000", "#999999", "#882255", "#999933", "#332288")
"""The rest of Okabe & Ito's, and wine, olive and indigo of P. Tol (2021), Colour schemes, SRON/EPS/TN/09-002.

So many colours are not told apart by everybody: models that share one, or have similar ones, differ in their marker.
"""

MARKERS = ("o", "s", "^", "D", "v")
"""Of the five, in the order of COLORS."""
OTHER_MARKERS = ("P", "X", "*", "h", "<", ">", "p", "d")

# Models that are likely to stand beside each other get colours of their own; all others get theirs by their name.
_OTHERS = {
    "cnn_s": (0, 0),
    "gru": (3, 1),
    "rnn": (4, 2),
    "vit": (5, 3),
    "tutorial_mlp_128_64": (1, 4),
    "tutorial_mlp_512_512": (2, 5),
    "tutorial_mlp_256": (0, 6),
    "tutorial_mlp_512_128": (3, 7),
    "tutorial_mlp_log_softmax": (4, 0),
    "tutorial_unet": (5, 1),
}

INK, MUTED, GRID = "#1F2328", "#59636E", "#D1D9E0"
"""Of text, of what stays in the background, and of grid lines."""

SMALL_DPI = 110

LOOKS = {
    # White, not transparent: text and points are as readable on a page with a dark background.
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "text.parse_math": False,  # a name with dollar signs is a name
    "svg.fonttype": "path",  # a page is read where the font may be missing
    "svg.hashsalt": "fmnist-zoo",
    "savefig.dpi": 160,
}


@dataclass(frozen=True, slots=True)
class ModelLook:
    """What a model is known by in every figure."""

    color: str
    marker: str


def model_look(model: str) -> ModelLook:
    """The colour and marker of a model: by its name alone, so that no other model in a figure changes them."""
    if model in COLORS:
        return ModelLook(COLORS[model], MARKERS[list(COLORS).index(model)])
    digest = hashlib.sha256(model.encode("utf-8", "replace")).digest()
    color, marker = _OTHERS.get(model, (digest[0], digest[1]))
    return ModelLook(OTHER_COLORS[color % len(OTHER_COLORS)], OTHER_MARKERS[marker % len(OTHER_MARKERS)])


def model_color(model: str) -> str:
    """The colour of a model, the same in every figure."""
    return model_look(model).color


@contextmanager
def looks() -> Iterator[None]:
    """The shared looks for what is drawn and saved inside, whatever a person has set for matplotlib."""
    with style.context(LOOKS, after_reset=True):
        yield


def new_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, in inches, known to nobody else: no state of pyplot is touched."""
    figure, (axes,) = new_panels(width_in, height_in)
    return figure, axes


def new_panels(
    width_in: float, height_in: float, *, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, row after row; `options` as for matplotlib's `Figure.subplots`."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def saved(figure: Figure, *, small: bool = False) -> dict[str, bytes]:
    """A figure as files, by suffix: `svg` and `png`, without a date or a version in them. To be called in `looks`.

    Args:
        figure: to be written.
        small: for figures that are kept under version control: a PNG of 256 colours and an SVG without needless digits,
            which look the same and take half the room.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is laid out once, and not for each file
    dpi = SMALL_DPI if small else float(mpl.rcParams["savefig.dpi"])
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    files = {}
    for suffix, fields in metadata.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=fields, dpi=dpi)
        files[suffix] = buffer.getvalue()
    return {"svg": _fewer_digits(files["svg"]), "png": _fewer_colors(files["png"])} if small else files


def _fewer_digits(svg: bytes) -> bytes:
    """Lengths to a hundredth of a point, steps between glyphs to one of an em, short names, and no indentation."""
    rounded = re.sub(rb"(?<![\w#.])(\d{2,}\.\d\d)\d+", rb"\1", svg)
    steps = re.sub(rb'\((\d+)\.\d+ 0\)"/>', rb'(\1 0)"/>', rounded)
    return re.sub(rb"\n\s+", b"\n", steps.replace(b"DejaVuSans-", b"g"))


def _fewer_colors(png: bytes) -> bytes:
    """With the palette that is off by least at worst: the median cut mixes colours that few dots have."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def drawable(text: str, limit: int = 48) -> str:
    """A text on one line, cut where it is long, with a question mark for each character that the font lacks."""
    known = _characters()
    line = " ".join("".join(character if ord(character) in known else "?" for character in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


@cache
def _characters() -> frozenset[int]:
    font = FT2Font(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"))
    return frozenset({*font.get_charmap(), ord("\n"), ord("\t")})
