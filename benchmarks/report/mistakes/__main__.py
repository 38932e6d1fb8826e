"""`python -m benchmarks.mistakes DIR`: confusions and common mistakes of models, from saved predictions.

Exit code: 0, or 2 for wrong arguments and folders without runs.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report.mistakes.config import MistakesConfig
from fmnist_zoo.cli.output import say
from fmnist_zoo.cli.parse import parse

if TYPE_CHECKING:
    from benchmarks.report.rows import Section

EXAMPLES = ("results", "results --class Shirt --figures shirts")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = parse(MistakesConfig, arguments, "benchmarks.mistakes", examples=EXAMPLES).options
    from benchmarks.report.text import without_controls
    from fmnist_zoo.data import DataError

    try:
        say("\n".join(map(without_controls, mistakes(options).split("\n"))))
    except (ValueError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def mistakes(options: MistakesConfig) -> str:
    """Draw the requested figures and return the text report.

    Raises:
        ValueError: an argument is invalid, or there are no predictions.
        DataError: the dataset is unavailable.
        OSError: the figures can't be written.
    """
    from benchmarks.records.store import RecordStore
    from benchmarks.report.mistakes.text import all_text
    from benchmarks.report.mistakes.votes import read_votes
    from benchmarks.report.section import conditions_text
    from fmnist_zoo.data import load_dataset

    folder = machine_folder(options.directory)
    section = chosen_section(folder, options.section)
    dataset = load_dataset(section.conditions.dataset, root=options.data_dir)
    label = None if options.class_name is None else class_label(options.class_name, dataset.class_names)
    votes = read_votes(
        section,
        RecordStore(folder),
        labels=dataset.test.labels.numpy(),
        class_names=dataset.class_names,
        checksum=dataset.checksum,
    )
    text = all_text(votes, f"{folder.name}, {html.unescape(conditions_text(section.conditions))}", label)
    if options.figures is None:
        return text
    from benchmarks.report.mistakes.figures import write_sheets

    files = write_sheets(votes, dataset.test.images.squeeze(1).numpy(), label, options.figures)
    return f"{text}\n\n{len(files)} figures in {options.figures}: {', '.join(file.name for file in files)}"


def class_label(name: str, class_names: Sequence[str]) -> int:
    """The index of a class by name, ignoring case; ValueError with the nearest name if there is none."""
    from fmnist_zoo.spec import nearest

    labels = {known.lower(): label for label, known in enumerate(class_names)}
    if name.lower() not in labels:
        raise ValueError(f"--class {name!r} is not one of {', '.join(class_names)}{nearest(name, class_names)}")
    return labels[name.lower()]


def machine_folder(directory: Path) -> Path:
    """The machine folder itself, or the one with the latest run in a results folder; ValueError if there is none."""
    from benchmarks.records.store import RecordStore
    from benchmarks.report.files import machine_folders

    if (directory / "runs").is_dir():
        return directory
    found = machine_folders(directory)
    if not found:
        raise ValueError(f"{directory} holds no runs; give the folder of one machine (with runs/*.json)")
    return max(found, key=lambda folder: [path.name for path in RecordStore(folder).paths()][-1:])


def chosen_section(folder: Path, number: int) -> Section:
    """The section of a machine's page with this number, from 1."""
    from benchmarks.records.store import RecordStore
    from benchmarks.report.rows import sections

    found = sections(RecordStore(folder).read_all()[0])
    if not found:
        raise ValueError(f"{folder} holds no readable record")
    if not 1 <= number <= len(found):
        raise ValueError(f"--section {number} must be from 1 to {len(found)}, as numbered in {folder / 'README.md'}")
    return found[number - 1]


if __name__ == "__main__":
    sys.exit(main())
