"""The options of `python -m benchmarks.peers`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from benchmarks.peers.arms import ArmName


@dataclass(frozen=True, kw_only=True, slots=True)
class PeersConfig:
    """Train the same net (784-128-64-10) in other frameworks and in this suite, an epoch of each in turn.

    Each arm has a process of its own. Needs the extra `peers` (JAX, Keras, Lightning).

    Exit code: 0, 1 if an arm died, 2 for wrong arguments.
    """

    arms: tuple[ArmName, ...] = get_args(ArmName)
    """Arms to train; one whose framework isn't installed gets a row that says so."""
    epochs: int = 10
    """Epochs of each arm; the first is reported separately."""
    batch_size: tuple[int, ...] = (64, 512)
    """Images per step; each value gets a table."""
    target: float = 87.0
    """Validation top-1 in percent for the time to accuracy."""
    num_workers: int = 2
    """Processes of the DataLoader, for arms that have one."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; JAX takes its default device unless this is cpu."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    out: Path = Path("results")
    """Results folder; peers.json and peers.md go to this machine's folder."""


def check(options: PeersConfig, num_train: int) -> None:
    """Raise ValueError for an invalid option."""
    if options.epochs < 1:
        raise ValueError(f"--epochs {options.epochs} must be at least 1")
    if options.num_workers < 0:
        raise ValueError(f"--num-workers {options.num_workers} must be at least 0")
    if not options.arms or not options.batch_size:
        raise ValueError("--arms and --batch-size need at least one value each")
    for batch_size in options.batch_size:
        if not 1 <= batch_size <= num_train:
            raise ValueError(
                f"--batch-size {batch_size} must be between 1 and {num_train}, the number of training images"
            )
