"""Where a sweep takes place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a sweep's results go and its data comes from, what is kept, and the command that its records name.

    Attributes:
        dataset: checksum of the data; None where it isn't known, and then nothing can be resumed.
        checkpoint_every: epochs after which the state of a training is kept; None to keep none.
        resumes: whether a run goes on from a state that an earlier sweep has kept.
    """

    out: Path
    data_dir: Path | None
    save_weights: bool
    profile: bool
    plugins: tuple[Path, ...]
    command: str
    dataset: str | None = None
    checkpoint_every: int | None = None
    resumes: bool = False
