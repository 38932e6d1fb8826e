"""The typed options of `python -m benchmarks.mistakes`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakesConfig:
    """Show what models confuse, which test images all of them get wrong, and on which they disagree."""

    directory: tyro.conf.Positional[Path]
    """The folder of one machine (with runs/ in it), or a results folder: then that with the last run."""
    class_name: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """Show all errors of this class, such as Shirt."""
    section: int = 1
    """Which set of comparable runs, counted from 1 in the order of the machine's README.md."""
    figures: Path | None = None
    """Folder for sheets of pictures, as SVG and PNG. Default: none are drawn."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
