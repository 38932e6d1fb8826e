"""`python -m benchmarks.reproduce`: make this repository's committed tables again on the machine at hand.

The most valuable step comes first, each run's record and tables are written as it ends, and a reproduction that was cut
off goes on where it stopped: runs that are `ok` since it began are not done again. That makes it the one command for a
machine that is at hand only briefly, and for one without a network (`--data-dir`).
"""

from __future__ import annotations

import json
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import tyro

from benchmarks.config import RunConfig
from fmnist_zoo.files import write_atomically

STEPS: tuple[tuple[str, RunConfig], ...] = (
    ("the main job", RunConfig(models=("all",))),
    ("the tutorial nets", RunConfig(models=("tutorials",))),
)
"""What the committed tables need, the most valuable first."""

STATE = ".reproduce.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReproduceConfig:
    """Make the committed tables of this repository again on this machine; start it again to go on after a stop."""

    out: Path = Path("results")
    """Where records and tables go, in a folder named after the machine."""
    data_dir: Path | None = None
    """Folder with the four idx files, for a machine without a network."""
    minutes: float | None = None
    """Start no new run after so many minutes."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    tar: Path | None = None
    """Leave the machine's records and tables as this one tar file (.tar or .tar.gz), also after a stop."""
    step: tuple[str, ...] = ()
    """Only the steps whose name has one of these words in it, such as tutorial."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code: 0 when all is done, 1 when a run isn't ok or time ran out, 2 for bad options."""
    options = tyro.cli(ReproduceConfig, args=arguments, prog="python -m benchmarks.reproduce")
    from fmnist_zoo.data import DataError

    try:
        return reproduce(options)
    except (ValueError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def reproduce(options: ReproduceConfig) -> int:
    """Do every step that isn't done yet; returns the exit code of `main`."""
    from benchmarks.run import sweep
    from benchmarks.runner import finished_runs

    steps = [step for step in STEPS if not options.step or any(word in step[0] for word in options.step)]
    if not steps:
        raise ValueError(
            f"--step {' '.join(options.step)} is no step; there are: {'; '.join(name for name, _ in STEPS)}"
        )
    deadline = None if options.minutes is None else time.monotonic() + 60 * options.minutes
    state = options.out / STATE
    since = _begin(state)
    complete = True
    for number, (name, config) in enumerate(steps, start=1):
        print(f"== step {number} of {len(steps)}: {name}", flush=True)
        here = replace(config, out=options.out, data_dir=options.data_dir, device=options.device)
        command = f"python -m benchmarks.run --models {' '.join(config.models)}"
        outcome = sweep(
            here, command, skip=lambda machine: finished_runs(options.out / machine, since), deadline=deadline
        )
        complete &= outcome.complete
        if options.tar is not None and outcome.machine is not None:
            pack(options.out, outcome.machine, options.tar)
        if outcome.exit_code == 130:  # Ctrl-C
            return 130
    if complete:
        state.unlink(missing_ok=True)
    else:
        print("not everything is done; the same command goes on from here")
    return 0 if complete else 1


def pack(out: Path, machine: str, tar: Path) -> None:
    """Put a machine's records, predictions and tables, and the index, into one tar file; weights stay behind."""
    tar.parent.mkdir(parents=True, exist_ok=True)
    part = tar.with_name(f".{tar.name}.part")
    with tarfile.open(part, "w:gz" if tar.suffix == ".gz" else "w") as archive:
        files = [path for path in sorted((out / machine).rglob("*")) if path.is_file() and "weights" not in path.parts]
        for path in [*files, out / "README.md"]:
            if not path.name.startswith("."):
                archive.add(path, arcname=path.relative_to(out))
    part.replace(tar)


def _begin(state: Path) -> str:
    """When the reproduction under way began, as records write it; now, where none is under way."""
    if state.is_file():
        try:
            return str(json.loads(state.read_text(encoding="utf-8"))["started_at"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{state} is damaged ({error}); delete it to begin anew") from error
    started_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z"
    write_atomically(state, json.dumps({"started_at": started_at}).encode())
    return started_at


if __name__ == "__main__":
    raise SystemExit(main())
