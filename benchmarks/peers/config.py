"""The options of `python -m benchmarks.peers`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from benchmarks.peers.arms import ArmName


@dataclass(frozen=True, kw_only=True, slots=True)
class PeersConfig:
    """Train 784-128-64-10 on 55,000 images in several frameworks and by this suite, an epoch of each in turn."""

    arms: tuple[ArmName, ...] = get_args(ArmName)
    """Which; one whose framework isn't installed gets a row that says so."""
    epochs: int = 10
    """The first one is reported apart."""
    batch_size: tuple[int, ...] = (64, 512)
    """A table each."""
    target: float = 87.0
    """Validation top-1, in percent, to which the time is given."""
    num_workers: int = 2
    """Processes of the DataLoader, in the arms that have one."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps; JAX takes its default device unless this is cpu."""
    data_dir: Path | None = None
    """Folder with the four idx files. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    out: Path = Path("results")
    """The figures go to peers.json and peers.md in this machine's folder."""


def check(options: PeersConfig, num_train: int) -> None:
    """ValueError where an option makes no sense."""
    if options.epochs < 1:
        raise ValueError(f"--epochs {options.epochs} must be at least 1")
    if options.num_workers < 0:
        raise ValueError(f"--num-workers {options.num_workers} must be at least 0")
    if not options.arms or not options.batch_size:
        raise ValueError("--arms and --batch-size need a value each")
    for batch_size in options.batch_size:
        if not 1 <= batch_size <= num_train:
            raise ValueError(f"--batch-size {batch_size} must be between 1 and {num_train}, the number of images")
