"""Options of `python -m benchmarks.selfcheck`, and jobs of its processes. Importing it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from benchmarks.sweep.config import Preset
from fmnist_zoo.recipe import Engine, Precision


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfcheckConfig:
    """Measure the same arm against itself: the false-difference rate and the noise floor of this machine.

    The noise floor is shown below the throughput tables; smaller differences mean nothing here. --what measures the
    cost of deterministic kernels or of worker processes instead, and only prints it.

    Exit code: 0 if false differences are within the expected 5%, 1 if they are not or a process died, 2 for wrong
    arguments, 130 if stopped.
    """

    what: Literal["noise", "determinism", "worker-cost"] = "noise"
    """noise: each arm against itself. determinism: training speed with and without deterministic kernels. worker-cost:
    two seeds in a new process and in the current one (uses only --rounds)."""
    models: tuple[str, ...] = ("all",)
    """Names, globs (lstm*), all (the five families), tutorials, or timm/NAME."""
    comparisons: int = 200
    """Comparisons within a process, at least, in total over all arms."""
    rounds: int = 10
    """Sweeps of each kind, for --what worker-cost."""
    processes: int = 6
    """Processes per arm, whose throughput is compared pair by pair."""
    preset: Preset | Literal["auto"] = "auto"
    """Preset whose equal-track recipe is trained. auto: quick on a CPU, standard on CUDA."""
    precision: tuple[Precision | Literal["auto"], ...] = ("auto",)
    """Precision of each arm. auto: that of the latest runs with the recipe on this machine, else fp32."""
    engine: tuple[Engine | Literal["auto"], ...] = ("auto",)
    """Engine of each arm. auto: that of the latest runs with the recipe on this machine, else eager."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    out: Path = Path("results")
    """Results folder; the findings go to selfcheck.json in this machine's folder."""


def check(options: SelfcheckConfig) -> None:
    """ValueError if a number is too small, or models, precision or engine are empty."""
    if options.comparisons < 1:
        raise ValueError(f"--comparisons {options.comparisons} must be at least 1")
    if options.rounds < 1:
        raise ValueError(f"--rounds {options.rounds} must be at least 1")
    if options.processes < 2:
        raise ValueError(f"--processes {options.processes} must be at least 2, which are compared in pairs")
    if not options.models:
        raise ValueError("--models needs a value, such as mlp")
    if not options.precision or not options.engine:
        raise ValueError("--precision and --engine each need a value, such as auto")


class SelfcheckJob(TypedDict):
    """A measurement: `comparisons` of two copies of an arm or, if None, the arm's throughput."""

    config: dict[str, Any]
    device: str
    data_dir: str | None
    comparisons: int | None
