"""The page as one HTML file of template, styles, scripts and content, safe for any text in a record."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from benchmarks.records.record import plain
from benchmarks.report.html.content import Content, Found, page_content
from benchmarks.report.html.mistakes import ranking
from benchmarks.report.html.pictures import atlas, read_test_images
from fmnist_zoo.data.errors import DataError
from fmnist_zoo.files import write_atomically

FILE = "index.html"
MARK = '<!-- Made from the records by "python -m benchmarks.report DIR --html": changes made by hand are lost. -->'
LIMIT_BYTES = 8_000_000
PICTURES_BYTES = 2_000_000
"""Limit for pictures of test images."""
RESERVE_BYTES = 20_000
"""Allowance for JSON overhead: field names and commas."""
SCRIPTS = ("dom", "theme", "plot", "tables", "points", "curves", "ledger", "pictures", "confusion", "gallery")
LAST_SCRIPTS = ("compare", "environment", "main")
INSTALL = "--html needs Plotly: pip install 'fmnist-zoo[html]', or pip install plotly"


def write_page(directory: Path, found: Found) -> Path:
    """Write the page for the records of some machines; returns its path.

    Args:
        directory: destination folder.
        found: records and unreadable files by machine folder.

    Raises:
        ValueError: Plotly is not installed, an index.html there was not generated, or the page would be too large.
    """
    path = directory / FILE
    check_file(path)
    write_atomically(path, html_page(page_content(found), plotly_script()))
    return path


def check_file(path: Path) -> None:
    """ValueError if the page would overwrite a file that was not generated."""
    if path.exists() and path.stat().st_size:
        with path.open(encoding="utf-8", errors="replace") as stream:
            if MARK not in stream.read(400):
                raise ValueError(
                    f"{path} was not made by benchmarks.report and would be lost: move it or choose another folder"
                )


def plotly_script() -> str:
    """Plotly's JavaScript from the installed package.

    Raises:
        ValueError: the package is not installed; the message says how to install it.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise ValueError(INSTALL) from error
    return get_plotlyjs()


def html_page(content: Content, plotly: str) -> bytes:
    """The page as UTF-8.

    Predictions and pictures beyond the size limit are omitted; the page says so.

    Args:
        content: of the page.
        plotly: Plotly's JavaScript.

    Raises:
        ValueError: it would be larger than `LIMIT_BYTES` even without predictions and pictures.
    """
    own = "\n".join(_static(f"{name}.js") for name in (*SCRIPTS, *LAST_SCRIPTS))
    free = LIMIT_BYTES - RESERVE_BYTES - len(_filled(plotly, own, embedded(content.data)))
    if free < 0:
        raise ValueError(
            f"the page would exceed {LIMIT_BYTES:,} bytes by {-free:,}; give the folder of one machine, or move older "
            "runs elsewhere"
        )
    errors, free = _fitting(content.errors, free)
    for entry, found in zip(content.data["sets"], errors, strict=True):
        entry["errors"] = found
    _add_pictures(content, min(free, PICTURES_BYTES))
    return _filled(plotly, own, embedded(content.data))


def embedded(value: Any) -> str:
    """JSON that is safe inside a script element: ASCII without characters of markup."""
    text = json.dumps(plain(_rounded(value)), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _filled(plotly: str, own: str, data: str) -> bytes:
    for name, script in (("Plotly", plotly), ("the page", own)):
        assert "</script" not in script.lower() and "<!--" not in script, f"a script element can't hold that of {name}"
    policy = (
        f"default-src 'none'; script-src {_hash(plotly)} {_hash(own)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    text = Template(_static("page.html")).substitute(
        mark=MARK, policy=policy, style=_static("style.css"), data=data, plotly=plotly, script=own
    )
    return text.encode()


def _hash(script: str) -> str:
    """The hash that allows a script in a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _static(name: str) -> str:
    return files("benchmarks.report.html").joinpath("static", name).read_text(encoding="utf-8")


def _fitting(errors: Sequence[Sequence[str | None]], free: int) -> tuple[list[list[str | None]], int]:
    """Errors of as many rows as fit, in page order, and the bytes left."""
    fitting: list[list[str | None]] = []
    for found in errors:
        fitting.append([])
        for text in found:
            kept = text if text is not None and len(text) <= free else None
            free -= len(kept or "")
            fitting[-1].append(kept)
    return fitting, free


def _add_pictures(content: Content, free: int) -> None:
    """Add pictures of each dataset within an equal share of the free bytes, or the reason why there are none."""
    for (name, checksum), found in content.mistakes.items():
        entry = content.data["datasets"][checksum]
        try:
            images = read_test_images(name, checksum)
        except (DataError, ValueError) as error:
            entry["reason"] = f"No pictures: the dataset is not available ({' '.join(str(error).split())})."
            continue
        order = ranking([one.votes for one in found if one.votes])
        entry["atlas"] = atlas(images, order, limit_bytes=free // len(content.mistakes))
        if entry["atlas"] is None:
            entry["reason"] = "No pictures: the page would be too large."


def _rounded(value: Any) -> Any:
    """Numbers to six significant digits, which any version of scipy reproduces."""
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}")
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
