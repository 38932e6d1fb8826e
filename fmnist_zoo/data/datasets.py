"""Datasets as tensors: decoded once, cached, and identified by a checksum in every record."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from fmnist_zoo.data.cache import cache_root, locked
from fmnist_zoo.data.catalog import DatasetSpec, find_spec
from fmnist_zoo.data.checked_file import read_sealed, write_sealed
from fmnist_zoo.data.errors import CacheWriteError, DataFileError, MissingFileError
from fmnist_zoo.data.progress import Reporter
from fmnist_zoo.data.splits import Split, holdout

if TYPE_CHECKING:
    from fmnist_zoo.data.source import Source
    from fmnist_zoo.data.sources import Files

__all__ = ["Dataset", "Split", "holdout", "load_cached", "load_dataset"]

logger = logging.getLogger(__name__)

DECODED_NAME: Final = "decoded.safetensors"
_DECODED_FORMAT: Final = 1
_DECODED_HEADER_BYTES: Final = 1 << 16
_CHUNK_IMAGES: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Dataset:
    """A dataset: splits, class names, pixel statistics, checksum and origin."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    mean: float
    """Mean of the training pixels scaled to [0, 1]."""
    std: float
    """Population standard deviation of these pixels."""
    checksum: str
    """SHA-256 over the MD5s of the four decompressed files: independent of source and compression."""
    origin: str
    """Where the files came from: `folder`, `cache`, `debian-package`, `torchvision-mirror` or `debian-archive`."""


def load_dataset(
    name: str = "fashion_mnist", root: str | os.PathLike[str] | None = None, *, progress: bool = True
) -> Dataset:
    """Load a dataset on the CPU, downloading missing files.

    With `root`, or the environment variable FMNIST_ZOO_DATA, the four files of that folder are read and verified;
    nothing is written, and all four must be valid. Otherwise each file comes from the first of: the user's cache folder
    (set by FMNIST_ZOO_CACHE), the folder of Debian's package, torchvision's mirrors, Debian's archive by
    `apt-get download`. The decoded tensors are cached.

    Files are identified by the MD5 of their decompressed bytes. For `kmnist` only the MD5s of the published .gz files
    are known: a .gz must match those, and only the structure of an uncompressed copy is checked.

    Args:
        name: `fashion_mnist`, `mnist` or `kmnist`.
        root: folder with the four idx files, .gz or not; None: see above.
        progress: report downloads on stderr.

    Raises:
        ValueError: unknown dataset.
        DataError: the files are unavailable, invalid, or can't be cached; the message says how to fix it.
    """
    spec = find_spec(name)
    folder = root if root is not None else os.environ.get("FMNIST_ZOO_DATA") or None
    if folder is not None:
        from fmnist_zoo.data.sources import read_folder

        return _decode(spec, read_folder(spec, Path(folder)))
    reporter = Reporter(enabled=progress)
    cache = cache_root() / spec.name
    return load_cached(spec, cache, _sources(spec, cache, reporter), reporter=reporter)


def _sources(spec: DatasetSpec, cache: Path, reporter: Reporter) -> Iterator[Source]:
    """Sources, created lazily: a cached dataset needs no network code."""
    from fmnist_zoo.data.sources import default_sources

    yield from default_sources(spec, cache, reporter=reporter)


def load_cached(spec: DatasetSpec, cache: Path, sources: Iterable[Source], *, reporter: Reporter) -> Dataset:
    """Load the decoded file in the folder `cache`; if missing, damaged or stale, recreate it from `sources`.

    Raises:
        DataError: as `load_dataset`.
    """
    path = cache / DECODED_NAME
    with contextlib.suppress(DataFileError):  # reported below, where it can be repaired
        return _read_decoded(spec, path)
    with locked(cache, reporter):
        try:
            return _read_decoded(spec, path)  # another process may have created it meanwhile
        except MissingFileError:
            pass
        except DataFileError as error:
            logger.warning("%s; decoding again", error)
        from fmnist_zoo.data.sources import fetch

        dataset = _decode(spec, fetch(spec, cache, sources))
        try:
            _write_decoded(spec, path, dataset)
        except CacheWriteError as error:  # costs only the speed of the next load
            logger.warning("the decoded dataset is not cached: %s", error)
        return dataset


def _decode(spec: DatasetSpec, files: Files) -> Dataset:
    contents = [files.contents[file] for file in spec.files]
    train_images, train_labels, test_images, test_labels = (content.values for content in contents)
    mean, std = _mean_and_std(train_images)
    return Dataset(
        name=spec.name,
        train=_split(train_images, train_labels),
        test=_split(test_images, test_labels),
        class_names=spec.class_names,
        mean=mean,
        std=std,
        checksum=hashlib.sha256("\n".join(content.md5 for content in contents).encode()).hexdigest(),
        origin=files.origin,
    )


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    # copied, since torch wants writable memory
    return Split(images=torch.from_numpy(images.copy()).unsqueeze(1), labels=torch.from_numpy(labels.astype(np.int64)))


def _mean_and_std(images: NDArray[np.uint8]) -> tuple[float, float]:
    """Exact mean and std of pixels scaled to [0, 1], from a histogram; chunked, as bincount widens input to 64 bits."""
    counts = np.zeros(256, dtype=np.int64)
    for start in range(0, len(images), _CHUNK_IMAGES):
        counts += np.bincount(images[start : start + _CHUNK_IMAGES].ravel(), minlength=256)
    values = np.arange(256, dtype=np.int64)
    total, total_squares = int(counts @ values), int(counts @ values**2)
    # in integers up to the last division, to avoid cancellation
    variance = (images.size * total_squares - total**2) / images.size**2
    return total / images.size / 255, math.sqrt(variance) / 255


def _identity(spec: DatasetSpec) -> str:
    """What a decoded file was made from: one of other files or another format is stale."""
    return hashlib.sha256(repr((_DECODED_FORMAT, dataclasses.astuple(spec))).encode()).hexdigest()


def _write_decoded(spec: DatasetSpec, path: Path, dataset: Dataset) -> None:
    tensors = {
        "train_images": dataset.train.images,
        "train_labels": dataset.train.labels,
        "test_images": dataset.test.images,
        "test_labels": dataset.test.labels,
    }
    metadata = {
        "identity": _identity(spec),
        "mean": repr(dataset.mean),
        "std": repr(dataset.std),
        "checksum": dataset.checksum,
        "origin": dataset.origin,
    }
    write_sealed(path, tensors, metadata)


def _read_decoded(spec: DatasetSpec, path: Path) -> Dataset:
    """The decoded dataset; DataFileError if it is missing, damaged, or not that of `spec`."""
    num_values = [math.prod(file.shape) for file in spec.files]
    size_bytes = num_values[0] + 8 * num_values[1] + num_values[2] + 8 * num_values[3]
    tensors, metadata = read_sealed(path, limit_bytes=size_bytes + _DECODED_HEADER_BYTES)
    expected = f"the decoded files of {spec.name}"
    if metadata.get("identity") != _identity(spec):
        raise DataFileError(str(path), expected, "those of another dataset or version")
    try:
        return Dataset(
            name=spec.name,
            train=Split(images=tensors["train_images"], labels=tensors["train_labels"]),
            test=Split(images=tensors["test_images"], labels=tensors["test_labels"]),
            class_names=spec.class_names,
            mean=float(metadata["mean"]),
            std=float(metadata["std"]),
            checksum=metadata["checksum"],
            origin=metadata["origin"],
        )
    except (KeyError, ValueError) as error:
        raise DataFileError(str(path), expected, f"invalid contents ({error})") from error
