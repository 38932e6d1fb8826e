"""`python -m benchmarks.selfcheck`: the same arm against itself, within one process and between fresh ones.

The false-difference rate is too high if it exceeds 5% by more than three standard errors.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.selfcheck.config import SelfcheckConfig, SelfcheckJob, check
from benchmarks.workers.client import OnEvent, Serving, Worker, serving
from benchmarks.workers.server import environment
from benchmarks.workers.slot import JobError, Slot
from fmnist_zoo.cli.output import say
from fmnist_zoo.cli.parse import INTERRUPTED, parse
from fmnist_zoo.files import WriteError

if TYPE_CHECKING:
    from benchmarks.records.selfcheck import Arm, Comparison, ProcessRates, Selfcheck

EXAMPLES = ("--models mlp cnn lstm", "--what determinism --models all", "--what worker-cost")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parsed = parse(SelfcheckConfig, arguments, "benchmarks.selfcheck", examples=EXAMPLES)
    from fmnist_zoo.data import DataError

    try:
        return _measured(parsed.options, parsed.command)
    except (ValueError, DataError, WriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except JobError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _measured(options: SelfcheckConfig, command: str) -> int:
    """Measure and print; returns the exit code."""
    if options.what != "noise":
        check(options)
        from benchmarks.selfcheck import determinism, worker_cost

        say(determinism.measured(options) if options.what == "determinism" else worker_cost.measured(options.rounds))
        return 0
    from benchmarks.selfcheck.page import page
    from benchmarks.selfcheck.summary import is_within_level

    path, found = selfcheck(options, command)
    say(f"{page(found)}\n\nWritten to {path}; `python -m benchmarks.report {path.parent}` adds it to the tables.")
    return 0 if is_within_level(found["within_process"]) else 1


def selfcheck(
    options: SelfcheckConfig, command: str, *, new_worker: Callable[[], Serving] | None = None
) -> tuple[Path, Selfcheck]:
    """Measure, write selfcheck.json, and return its path and content.

    Args:
        options: what to measure.
        command: the command line, for the file.
        new_worker: creates a process that is not yet started; a fake in tests.

    Raises:
        ValueError: an option is invalid, or `out` is not writable.
        DataError: the dataset is unavailable.
        JobError: a process failed or died.
    """
    from benchmarks.measure.machine_details import environment_of, results_folder
    from benchmarks.records.selfcheck import SCHEMA_VERSION, write
    from benchmarks.selfcheck.arms import arms
    from benchmarks.selfcheck.summary import between_processes, within_process

    models, device = understood(options)
    folder = results_folder(options.out, device)
    measured = arms(options, models, device, folder)
    ask = Asking(options, device, new_worker or worker)
    count = math.ceil(options.comparisons / len(measured))
    comparisons = [one for label, arm in measured.items() for one in ask.comparisons(label, arm, count)]
    # One process of each arm in turn, so that those of one arm are minutes apart, like the rows of a table.
    processes = [
        ask.rates(label, arm, number) for number in range(options.processes) for label, arm in measured.items()
    ]
    found: Selfcheck = {
        "schema_version": SCHEMA_VERSION,
        "measured_at": _now(),
        "command": command,
        "settings": {"arms": measured, "device": device},
        "environment": environment_of(device, num_threads=ask.num_threads, variables=environment()),
        "within_process": within_process(comparisons),
        "between_processes": between_processes(processes),
    }
    return write(folder, found), found


def understood(options: SelfcheckConfig) -> tuple[list[str], str]:
    """Models and device of the options, after checking that they are available; downloads the images if needed."""
    from fmnist_zoo.data import load_dataset
    from fmnist_zoo.registry import select_models
    from fmnist_zoo.training.device import check_engine, resolve_device
    from fmnist_zoo.training.precision import check_precision

    check(options)
    models, device = select_models(options.models), resolve_device(options.device)
    for precision in options.precision:
        if precision != "auto":
            check_precision(precision, device)
    for engine in options.engine:
        if engine != "auto":
            check_engine(engine, device)
    load_dataset("fashion_mnist", root=options.data_dir)
    return models, str(device)


class Asking:
    """Measurements in fresh processes, one at a time.

    Attributes:
        num_threads: of the latest comparisons; None before them, and on other devices than a CPU.
    """

    def __init__(self, options: SelfcheckConfig, device: str, new_worker: Callable[[], Serving]) -> None:
        self._options, self._device, self._new_worker = options, device, new_worker
        self.num_threads: int | None = None

    def comparisons(self, label: str, arm: Arm, count: int) -> list[Comparison]:
        """`count` comparisons of an arm with itself in one process."""
        from benchmarks.selfcheck.summary import comparison

        _say(f"{label}: {count} comparisons in one process")
        found: list[Comparison] = []
        done = self._run(arm, count, lambda event: found.append(comparison(label, **event)))
        self.num_threads = done["num_threads"]
        return found

    def rates(self, label: str, arm: Arm, number: int) -> ProcessRates:
        """An arm's throughput in one process; `number` counts them from 0."""
        _say(f"{label}: throughput in process {number + 1} of {self._options.processes}")
        started_at = _now()
        found = self._run(arm, None, lambda event: None)
        rates = {name: found[name] for name in ("train_img_per_s", "infer_img_per_s")}
        return {"arm": label, "started_at": started_at, **rates}  # type: ignore[typeddict-item]

    def _run(self, arm: Arm, comparisons: int | None, on_event: OnEvent) -> dict[str, Any]:
        data_dir = self._options.data_dir
        job: SelfcheckJob = {
            "config": {**arm, "model_options": {}, "num_val": 0},
            "device": self._device,
            "data_dir": None if data_dir is None else str(data_dir),
            "comparisons": comparisons,
        }
        with Slot(self._new_worker) as slot:
            return slot.need(job, on_event)


def worker() -> Worker:
    """A fresh process with the environment of a run."""
    return Worker(command=serving("benchmarks.selfcheck.measure:Measuring"))


def measured_at(machine_dir: Path) -> str | None:
    """Time of a machine's A/A check (UTC, in the format of records); None if there is no readable one."""
    from benchmarks.records.selfcheck import read

    found, _ = read(machine_dir)
    return None if found is None else found["measured_at"]


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
