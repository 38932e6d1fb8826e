"""The typed options of `python -m benchmarks.mistakes`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True, kw_only=True, slots=True)
class MistakesConfig:
    """Show what models confuse, which test images all of them get wrong, and on which they disagree.

    Exit code: 0, or 2 for wrong arguments and folders without runs.
    """

    directory: tyro.conf.Positional[Path]
    """Folder of one machine (with runs/ in it), or a results folder: then the machine with the last run."""
    class_name: Annotated[str | None, tyro.conf.arg(name="class")] = None
    """Show all errors of this class, such as Shirt."""
    section: int = 1
    """Section of the machine's results page (a set of comparable runs), counted from 1."""
    figures: Path | None = None
    """Draw sheets of the images, as SVG and PNG, into this folder."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
