"""Folder of a machine's run records, with predictions and test labels."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.records.json_files import Problem, decode_versioned, read_versioned, visible_files
from benchmarks.records.record import RUN_ID, SCHEMA_VERSION, RunRecord, plain, record_fault
from fmnist_zoo.files import read_regular, write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fmnist_zoo.data.datasets import Dataset

_CHECKSUM = re.compile(r"[0-9a-f]{6,128}", re.ASCII)
_TENSORS_LIMIT_BYTES = 1 << 26
"""For predictions and labels: at three bytes per image, a thousand times the need of 10,000."""


class RecordStore:
    """Records of one machine: `<machine_dir>/runs/<run_id>.json`, predictions beside them.

    Test labels lie in the machine's folder, one file per dataset.

    A file gets its name only when complete and on disk, so several processes may write at once.
    """

    def __init__(self, machine_dir: Path) -> None:
        self.machine_dir = machine_dir
        self.runs_dir = machine_dir / "runs"

    def write(self, record: RunRecord) -> Path:
        """Write a record, replacing one with the same run_id; non-finite numbers become null.

        Raises:
            ValueError: the record doesn't fit the schema and would be unreadable; the message says where.
            WriteError: it can't be written; an earlier one is kept.
        """
        content = plain(dataclasses.asdict(record))
        try:
            lines = [f"{json.dumps(name)}: {json.dumps(content[name], sort_keys=True)}" for name in sorted(content)]
            text = ("{\n" + ",\n".join(lines) + "\n}\n").encode()
            written = _record(decode_versioned(text, RunRecord, SCHEMA_VERSION), record.run_id)
            if lost := [name for name in content if content[name] != getattr(written, name)]:
                raise ValueError(f"{', '.join(lost)} has a key that benchmarks/records/schema.py doesn't name")
        except (ValueError, TypeError) as error:
            raise ValueError(f"record {record.run_id} does not fit schema version {SCHEMA_VERSION}: {error}") from error
        path = self.runs_dir / f"{record.run_id}.json"
        write_atomically(path, text)
        return path

    def read_all(self) -> tuple[list[RunRecord], list[Problem]]:
        """All records, oldest first, and each unreadable file with the reason; hidden files are ignored.

        Raises:
            OSError: the folder can't be read.
        """
        records: list[RunRecord] = []
        problems: list[Problem] = []
        for path in self.paths():
            try:
                if not _is_predictions(path):
                    records.append(_read(path))
            except (OSError, ValueError, RecursionError) as error:
                problems.append(Problem(path.name, str(error) or type(error).__name__))
        return records, problems

    def paths(self) -> list[Path]:
        """Visible files of the folder, by name; none without a folder."""
        return visible_files(self.runs_dir)

    def write_predictions(self, run_id: str, predicted: NDArray[np.uint8], confidence: NDArray[np.float16]) -> str:
        """Save a run's predicted classes `(n,)` uint8, their probabilities `(n,)` float16; return the file name.

        Call before writing the record that names the file.
        """
        from safetensors.numpy import save

        assert predicted.dtype == "uint8" and confidence.dtype == "float16" and predicted.shape == confidence.shape
        path = self._predictions_path(run_id)
        write_atomically(path, save({"predicted": predicted, "confidence": confidence}))
        return path.name

    def read_predictions(self, run_id: str) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
        """Predicted classes `(n,)` uint8 of a run and their probabilities `(n,)` float16.

        Raises:
            ValueError: the file is missing, damaged or holds something else.
        """
        path = self._predictions_path(run_id)
        tensors = _read_tensors(path, "predictions")
        found = {name: (str(array.dtype), array.ndim) for name, array in tensors.items()}
        if found != {"predicted": ("uint8", 1), "confidence": ("float16", 1)}:
            raise ValueError(f"predictions {path} hold {found}, not `predicted` (uint8) and `confidence` (float16)")
        return tensors["predicted"], tensors["confidence"]

    def labels_path(self, checksum: str) -> Path:
        """File of a dataset's test labels, by the checksum in its records.

        Raises:
            ValueError: not a checksum.
        """
        if not _CHECKSUM.fullmatch(checksum):
            raise ValueError(f"checksum {checksum!r:.60} is not one of a dataset: hexadecimal digits")
        return self.machine_dir / f"test-labels-{checksum[:16]}.safetensors"

    def write_labels(self, checksum: str, labels: NDArray[np.uint8]) -> None:
        """Save a dataset's test labels `(n,)` uint8, so that this folder suffices to score predictions."""
        from safetensors.numpy import save

        assert labels.dtype == "uint8" and labels.ndim == 1
        write_atomically(self.labels_path(checksum), save({"labels": labels}))

    def keep_labels(self, dataset: Dataset) -> bool:
        """Write a dataset's test labels; False if they already exist."""
        if self.labels_path(dataset.checksum).exists():
            return False
        self.write_labels(dataset.checksum, dataset.test.labels.byte().cpu().numpy())
        return True

    def read_labels(self, checksum: str) -> NDArray[np.uint8]:
        """Test labels `(n,)` of a dataset.

        Raises:
            ValueError: the file is missing, damaged or holds something else.
        """
        path = self.labels_path(checksum)
        tensors = _read_tensors(path, "labels")
        found = {name: (str(array.dtype), array.ndim) for name, array in tensors.items()}
        if found != {"labels": ("uint8", 1)}:
            raise ValueError(f"{path} holds {found}, not `labels` (uint8)")
        return tensors["labels"]

    def _predictions_path(self, run_id: str) -> Path:
        if not RUN_ID.fullmatch(run_id):
            raise ValueError(f"run_id {run_id!r} is not of the form START-MODEL-KEY-sSEED")
        return self.runs_dir / f"{run_id}.safetensors"


def _read_tensors(path: Path, what: str) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:  # not memory-mapped: truncation by another process would kill this one
        return load(read_regular(path, _TENSORS_LIMIT_BYTES))
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ValueError(f"{what} {path} can't be read: {error}") from error


def _is_predictions(path: Path) -> bool:
    """Whether a file is from `write_predictions`, by its name; a killed run may have left only that."""
    return path.suffix == ".safetensors" and RUN_ID.fullmatch(path.stem) is not None and path.is_file()


def _read(path: Path) -> RunRecord:
    """Read a record; ValueError or OSError if the file is none."""
    if path.suffix != ".json":
        raise ValueError("not a record: only <run_id>.json and <run_id>.safetensors belong here")
    return _record(read_versioned(path, RunRecord, SCHEMA_VERSION), path.stem)


def _record(record: RunRecord, name: str) -> RunRecord:
    """Check a record read from a file `name`; ValueError if it contradicts itself or the name."""
    if fault := record_fault(record):
        raise ValueError(fault)
    if record.run_id != name:
        raise ValueError(f"holds the run {record.run_id}, of which it doesn't have the name")
    return record
