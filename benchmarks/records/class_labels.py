"""Test labels beside the records of a machine, so that a report can score predictions without the dataset.

Runs save them. `python -m benchmarks.labels DIR` adds them to folders of older runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro

from benchmarks.records.store import RecordStore
from fmnist_zoo.cli.parse import parse
from fmnist_zoo.files import WriteError


def add_labels(directory: tyro.conf.Positional[Path], /, *, data_dir: Path | None = None) -> int:
    """Add missing test labels to a results folder, so that reports can judge predictions without the dataset.

    Runs save them by themselves; only results of early versions lack them.

    Exit code: 0, or 2 if a dataset can't be found or isn't the one of the records.

    Args:
        directory: Results folder, or the folder of one machine.
        data_dir: Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded.

    Returns:
        The exit code: 0, or 2 where a dataset can't be had or isn't the one of the records.
    """
    from fmnist_zoo.data import DataError, load_dataset  # torch

    folders = [directory] if (directory / "runs").is_dir() else sorted(path.parent for path in directory.glob("*/runs"))
    if not folders:
        print(f"error: {directory} holds no runs; give a results folder or one machine's", file=sys.stderr)
        return 2
    missing = 0
    for store in map(RecordStore, folders):
        records, _ = store.read_all()
        for name, checksum in sorted(
            {(run.dataset["name"], run.dataset["checksum"]) for run in records if run.dataset}
        ):
            try:
                dataset = load_dataset(name, root=data_dir)
                if dataset.checksum != checksum:
                    raise ValueError(f"{name} here has the checksum {dataset.checksum}, the records say {checksum}")
                written = store.keep_labels(dataset)
                print(f"{store.labels_path(checksum)}: {'written' if written else 'was there'}")
            except (ValueError, DataError, WriteError) as error:
                print(f"error: {store.machine_dir}: {error}", file=sys.stderr)
                missing += 1
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(parse(add_labels, None, "benchmarks.labels", examples=("results",)).options)
