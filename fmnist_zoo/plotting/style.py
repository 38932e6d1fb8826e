"""Style shared by all figures, and reproducible files: equal figures give equal bytes."""

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

# Colours of Okabe & Ito (2008), Color Universal Design, distinguishable with any kind of colour vision.
# Without yellow, which is hardly visible on white.
COLORS = {
    "mlp": "#E69F00",
    "cnn": "#0072B2",
    "unet_encoder": "#009E73",
    "lstm": "#D55E00",
    "transformer": "#CC79A7",
}
OTHER_COLORS = ("#56B4E9", "#000000", "#999999", "#882255", "#999933", "#332288")
"""The rest of Okabe & Ito's, and wine, olive and indigo of P. Tol (2021), Colour schemes, SRON/EPS/TN/09-002.

Not everybody can distinguish so many colours: models with equal or similar ones differ in their marker.
"""

MARKERS = ("o", "s", "^", "D", "v")
"""Of the five families, in the order of COLORS."""
OTHER_MARKERS = ("P", "X", "*", "h", "<", ">", "p", "d")

# Models likely to be shown together have fixed colours; others derive theirs from the name.
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
"""Colours of text, background elements and grid lines."""

SMALL_DPI = 110

LOOKS = {
    # White, not transparent: readable on a page with a dark background.
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
    "text.parse_math": False,  # dollar signs in names are no mathematics
    "svg.fonttype": "path",  # readers may lack the font
    "svg.hashsalt": "fmnist-zoo",
    "savefig.dpi": 160,
}


@dataclass(frozen=True, slots=True)
class ModelLook:
    """A model's colour and marker, the same in every figure."""

    color: str
    marker: str


def model_look(model: str) -> ModelLook:
    """Colour and marker of a model, by its name alone, whatever else is in a figure."""
    if model in COLORS:
        return ModelLook(COLORS[model], MARKERS[list(COLORS).index(model)])
    digest = hashlib.sha256(model.encode("utf-8", "replace")).digest()
    color, marker = _OTHERS.get(model, (digest[0], digest[1]))
    return ModelLook(OTHER_COLORS[color % len(OTHER_COLORS)], OTHER_MARKERS[marker % len(OTHER_MARKERS)])


def model_color(model: str) -> str:
    """Colour of a model, the same in every figure."""
    return model_look(model).color


@contextmanager
def looks() -> Iterator[None]:
    """Use the shared style inside, whatever the user's matplotlib settings."""
    with style.context(LOOKS, after_reset=True):
        yield


def new_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, sizes in inches, outside pyplot's global state."""
    figure, (axes,) = new_panels(width_in, height_in)
    return figure, axes


def new_panels(
    width_in: float, height_in: float, *, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, in row order; `options` go to matplotlib's `Figure.subplots`."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **options).flat)


def saved(figure: Figure, *, small: bool = False) -> dict[str, bytes]:
    """File contents of a figure by suffix, `svg` and `png`, without date or version. Call it inside `looks`.

    Args:
        figure: to be written.
        small: for version control: a PNG of 256 colours and an SVG with fewer digits, which look the same at half the
            size.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # lay out once, not per file
    dpi = SMALL_DPI if small else float(mpl.rcParams["savefig.dpi"])
    metadata: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    files = {}
    for suffix, fields in metadata.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, metadata=fields, dpi=dpi)
        files[suffix] = buffer.getvalue()
    return {"svg": _fewer_digits(files["svg"]), "png": _fewer_colors(files["png"])} if small else files


def _fewer_digits(svg: bytes) -> bytes:
    """Round lengths to 0.01 pt and glyph steps to 0.01 em, shorten names, drop indentation."""
    rounded = re.sub(rb"(?<![\w#.])(\d{2,}\.\d\d)\d+", rb"\1", svg)
    steps = re.sub(rb'\((\d+)\.\d+ 0\)"/>', rb'(\1 0)"/>', rounded)
    return re.sub(rb"\n\s+", b"\n", steps.replace(b"DejaVuSans-", b"g"))


def _fewer_colors(png: bytes) -> bytes:
    """Reduce to the palette with the smallest maximum error: median cut merges rare colours."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def drawable(text: str, limit: int = 48) -> str:
    """Text on one line, cut if long, with a question mark for each character missing from the font."""
    known = _characters()
    line = " ".join("".join(character if ord(character) in known else "?" for character in text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


@cache
def _characters() -> frozenset[int]:
    font = FT2Font(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"))
    return frozenset({*font.get_charmap(), ord("\n"), ord("\t")})
