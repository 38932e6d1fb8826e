"""`python -m benchmarks.reproduce`: repeat the measurements of the committed tables on this machine.

The most valuable step comes first, each run's record and tables are written as it ends, and a stopped reproduction
continues where it was: runs that are `ok` since its start are skipped. So it suits a machine that is available only
briefly, and one without a network (`--data-dir`).
"""

from __future__ import annotations

import json
import sys
import tarfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.records.json_files import read_json
from benchmarks.reproduce.steps import STEPS, Progress, ReproduceConfig
from fmnist_zoo.cli.output import plain_console, print_lines
from fmnist_zoo.cli.parse import INTERRUPTED, parse
from fmnist_zoo.files import WriteError, check_writable, replacing, write_atomically

STATE = ".reproduce.json"

EXAMPLES = ("", "--minutes 30 --tar results.tar.gz", "--step tutorial")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Exit code: 0 when all is done, 1 when a run isn't ok or time ran out, 2 for bad options."""
    options = parse(ReproduceConfig, arguments, "benchmarks.reproduce", examples=EXAMPLES).options
    from fmnist_zoo.data import DataError

    try:
        return reproduce(options)
    except (ValueError, DataError, WriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED


def reproduce(options: ReproduceConfig) -> int:
    """Execute the remaining steps; returns the exit code of `main`."""
    steps = {
        name: step for name, step in STEPS.items() if not options.step or any(word in name for word in options.step)
    }
    if not steps:
        raise ValueError(f"--step {' '.join(options.step)} matches no step; choose from: {'; '.join(STEPS)}")
    if options.tar is not None:
        check_writable(options.tar.parent, "--tar", options.tar)
    state = options.out / STATE
    goes_on = state.is_file()
    progress = Progress(
        since=_begin(state), deadline=None if options.minutes is None else time.monotonic() + 60 * options.minutes
    )
    complete, console, machines = True, plain_console(), set[str]()
    for number, (name, step) in enumerate(steps.items(), start=1):
        print_lines(console, f"== step {number} of {len(steps)}: {name}")
        outcome = step(options, progress)
        complete &= outcome.complete
        machines |= {outcome.machine} if outcome.machine else set()
        if options.tar is not None and outcome.machine is not None:
            pack(options.out, outcome.machine, options.tar)
        if outcome.exit_code == INTERRUPTED:
            return INTERRUPTED
    for machine in machines:
        _draw(options, machine)
    if not complete:
        print_lines(console, "incomplete; the same command continues from here")
    elif not (goes_on and options.step):  # --step doesn't end an unfinished full reproduction
        state.unlink(missing_ok=True)
    return 0 if complete else 1


def _draw(options: ReproduceConfig, machine: str) -> None:
    """Draw the figures once, at the end: on a briefly available machine, measuring comes first."""
    from benchmarks.records.store import RecordStore
    from benchmarks.report import write_report

    if not RecordStore(options.out / machine).read_all()[0]:
        return
    write_report(options.out, machine)
    if options.tar is not None:
        pack(options.out, machine, options.tar)


def pack(out: Path, machine: str, tar: Path) -> None:
    """Put a machine's records, predictions and tables, and the index, into one tar file, without weights and states.

    Raises:
        WriteError: it can't be written; an earlier one is kept.
    """
    with replacing(tar) as part, tarfile.open(part, "w:gz" if tar.suffix == ".gz" else "w") as archive:
        files = [
            path
            for path in sorted((out / machine).rglob("*"))
            if not {"weights", "checkpoints"} & set(path.relative_to(out).parts)
        ]
        for path in [*files, out / "README.md"]:
            if path.is_file() and not path.name.startswith("."):
                archive.add(path, arcname=path.relative_to(out))


def _begin(state: Path) -> str:
    """Start time of the unfinished reproduction (UTC, as in records); now if there is none."""
    if state.is_file():
        try:
            return read_json(state, dict[str, str])["started_at"]
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{state} is damaged ({error}); delete it to start over") from error
    started_at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z"
    write_atomically(state, json.dumps({"started_at": started_at}).encode())
    return started_at


if __name__ == "__main__":
    raise SystemExit(main())
