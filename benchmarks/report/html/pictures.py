"""Pictures of test images for the page, read from local files only and packed into one PNG sheet."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fmnist_zoo.data.cache import cache_root
from fmnist_zoo.data.catalog import find_spec
from fmnist_zoo.data.download import Outside
from fmnist_zoo.data.source import folder_source
from fmnist_zoo.data.sources import Files, fetch, read_folder

COLUMNS = 64
SIDE = 28
INDEX_BYTES = 6
"""Size of an index in JSON, including its comma."""


def read_test_images(name: str, checksum: str) -> NDArray[np.uint8]:
    """The test images `(n, 28, 28)` of a local dataset; nothing is downloaded.

    Raises:
        ValueError: the dataset is unknown, or its checksum isn't that of the records.
        DataError: the files aren't on this machine.
    """
    spec = find_spec(name)
    folder = os.environ.get("FMNIST_ZOO_DATA")
    if folder:
        files = read_folder(spec, Path(folder).expanduser())
    else:
        cache = cache_root() / spec.name
        sources = [folder_source(cache, origin="cache", label="cache folder")]
        if spec.debian is not None:
            package = Outside().system_root / spec.debian.folder
            sources.append(folder_source(package, origin="debian-package", label=spec.debian.package))
        files = fetch(spec, cache, sources)
    if _checksum(files, [file.name for file in spec.files]) != checksum:
        raise ValueError(f"{name} on this machine differs from that of the records (checksum {checksum[:12]})")
    return files.contents[spec.files[2]].values


def atlas(images: NDArray[np.uint8], order: NDArray[np.int64], *, limit_bytes: int) -> dict[str, Any] | None:
    """A sheet of as many pictures as fit into `limit_bytes`; None if not even one row fits.

    Args:
        images: grey values from 0 (background) to 255 `(n, 28, 28)`.
        order: indices by priority.
        limit_bytes: for the base64 text and the list of indices.
    """
    count = min(len(order), limit_bytes // 200)  # 200 bytes: less than any picture takes
    while count >= COLUMNS:
        text = base64.b64encode(_png(images[order[:count]])).decode()
        size = len(text) + INDEX_BYTES * count
        if size <= limit_bytes:
            return {"columns": COLUMNS, "side": SIDE, "images": order[:count].tolist(), "png": text}
        count = min(count - 1, int(count * limit_bytes / size * 0.98))
    return None


def _png(images: NDArray[np.uint8]) -> bytes:
    """Pictures in rows of `COLUMNS`, dark articles on white."""
    rows = math.ceil(len(images) / COLUMNS)
    sheet = np.zeros((rows * COLUMNS, SIDE, SIDE), np.uint8)
    sheet[: len(images)] = images
    whole = sheet.reshape(rows, COLUMNS, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(rows * SIDE, COLUMNS * SIDE)
    buffer = io.BytesIO()
    Image.fromarray(255 - whole).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _checksum(files: Files, names: Sequence[str]) -> str:
    """The dataset's checksum, as in records: SHA-256 over the MD5s of the four files in order."""
    md5s = {file.name: content.md5 for file, content in files.contents.items()}
    return hashlib.sha256("\n".join(md5s[name] for name in names).encode()).hexdigest()
