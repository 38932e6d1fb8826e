"""Datasets of 28 x 28 grey images as tensors, from verified files.

Names are imported when they are first used, so that fetching files doesn't need torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fmnist_zoo.data.errors import (
    CacheWriteError,
    DataError,
    DataFileError,
    DataUnavailableError,
    MissingFileError,
    SourceError,
)

_HOMES = {
    "Dataset": "datasets",
    "load_dataset": "datasets",
    "Split": "splits",
    "holdout": "splits",
}

__all__ = [
    "CacheWriteError",
    "DataError",
    "DataFileError",
    "DataUnavailableError",
    "Dataset",
    "MissingFileError",
    "SourceError",
    "Split",
    "holdout",
    "load_dataset",
]

if TYPE_CHECKING:
    from fmnist_zoo.data.datasets import Dataset, load_dataset
    from fmnist_zoo.data.splits import Split, holdout


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
