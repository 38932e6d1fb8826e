"""The options of `python -m benchmarks.selfcheck`, and what its processes are asked. Importing it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from benchmarks.sweep.config import Preset
from fmnist_zoo.recipe import Engine, Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfcheckConfig:
    """Measure the same arm against itself: how often is a difference found where there is none, and how large are they?

    The noise floor that follows is printed below the tables: smaller differences say nothing on this machine. With
    --what, what deterministic kernels or worker processes cost here is measured and printed in its place.
    """

    what: Literal["noise", "determinism", "worker-cost"] = "noise"
    """determinism: training speed with and without deterministic kernels. worker-cost: two seeds in a new process and
    in the one at hand, which takes --rounds alone."""
    models: tuple[str, ...] = ("all",)
    """Names, globs (lstm*), all (the five families), tutorials, or timm/NAME."""
    comparisons: int = 200
    """Comparisons within one process, at least so many over all arms."""
    rounds: int = 10
    """Sweeps of each kind for worker-cost."""
    processes: int = 6
    """Processes for each arm, whose throughput is compared pair by pair."""
    preset: Preset | Literal["auto"] = "auto"
    """Whose recipe of the equal track is trained: quick (default on a CPU), standard (default on CUDA) or full."""
    precision: tuple[Precision | Literal["auto"], ...] = ("auto",)
    """auto: what runs with that recipe last had on this machine, fp32 where none is recorded."""
    engine: tuple[Engine | Literal["auto"], ...] = ("auto",)
    """auto: likewise, else eager."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    out: Path = Path("results")
    """The findings go to selfcheck.json in this machine's folder."""


def check(options: SelfcheckConfig) -> None:
    """ValueError where a number makes no sense or there is no model."""
    if options.comparisons < 1:
        raise ValueError(f"--comparisons {options.comparisons} must be at least 1")
    if options.rounds < 1:
        raise ValueError(f"--rounds {options.rounds} must be at least 1")
    if options.processes < 2:
        raise ValueError(f"--processes {options.processes} must be at least 2: one has nothing to be compared with")
    if not options.models:
        raise ValueError("--models needs a value, such as mlp")
    if not options.precision or not options.engine:
        raise ValueError("--precision and --engine need a value each, such as auto")


class SelfcheckJob(TypedDict):
    """What to measure: so many comparisons of two copies of an arm; with None, the arm's throughput."""

    config: dict[str, Any]
    device: str
    data_dir: str | None
    comparisons: int | None
