"""A process that runs one variant: it reads jobs as JSON lines, trains, measures, and answers with JSON lines.

The runner starts it anew for each variant, with the environment that must be set before Python starts (`environment`);
its seeds run inside, so that importing and compiling are paid once. It writes predictions and weights itself; the
record is the runner's, which alone knows the wall time. Standard output carries nothing but answers; whatever libraries
print goes to standard error, which the runner keeps as the run's log.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypedDict


class CheckpointJob(TypedDict):
    """Where a run's state is kept: see `fmnist_zoo.training.state.Checkpoints`."""

    path: str
    key: str
    every_epochs: int | None


class Job(TypedDict):
    """One run, as the runner asks for it.

    `decided` are precision, engine and reason of the variant's other seeds where those were made by an earlier sweep.
    """

    task: str
    config: dict[str, Any]
    seed: int
    run_id: str
    device: str
    measure: list[str]
    limit_s: float
    choice: str | None
    roofline: str | None
    data_dir: str | None
    machine_dir: str
    weights: str | None
    profile: bool
    training_flops: int
    plugins: list[str]
    decided: dict[str, str | None] | None
    checkpoint: CheckpointJob | None


Emit = Callable[[dict[str, Any]], None]

STACK_SIGNAL = signal.SIGUSR1
"""On it a worker prints where it is: the last that is heard of one that hangs."""


def environment(num_threads: int | None = None) -> dict[str, str]:
    """The variables with which a worker is started, on top of the runner's own; what is set already is kept.

    One thread for each physical core, unless another number is given.
    glibc by default gives large blocks back to the system and faults them in again at every step; keeping them
    trained the five families 1.05 to 2 times as fast on two cores of an EPYC. Huge pages spare address translation.
    """
    import psutil

    wanted = {
        "OMP_NUM_THREADS": str(num_threads or psutil.cpu_count(logical=False) or 1),
        "MALLOC_MMAP_THRESHOLD_": str(2**30),
        "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
        "MALLOC_TOP_PAD_": str(2**26),
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "PYTHONUNBUFFERED": "1",
    }
    return {**wanted, **os.environ}


def main() -> None:
    """Serve jobs from standard input until it ends."""
    emit = open_answers()
    threading.Thread(target=end_with_parent, args=(os.getppid(),), daemon=True).start()
    from benchmarks.experiment import Experiment  # torch, timm, scikit-learn: the import that is booked as such

    experiment = Experiment()
    emit({"event": "ready"})
    for line in sys.stdin:
        job: Job = json.loads(line)
        emit({"event": "done", **carry_out(experiment, job, emit)})


def open_answers() -> Emit:
    """Take standard output for answers, one JSON line each; what else is printed goes to standard error from now on.

    There a crash, and `STACK_SIGNAL`, also leave where the program was.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not garble the answers
    faulthandler.enable(all_threads=False)
    faulthandler.register(STACK_SIGNAL, all_threads=False)
    owner = os.getpid()

    def emit(event: dict[str, Any]) -> None:
        if os.getpid() != owner:
            os._exit(1)  # a copy that a model has forked off, and that came back to our code, has nothing to answer
        answers.write(json.dumps(event) + "\n")

    return emit


def carry_out(experiment: Any, job: Job, emit: Emit) -> Mapping[str, Any]:
    """What the run gave; a run that failed says how, and the process lives on."""
    from fmnist_zoo.training.determinism import deterministic_algorithms

    as_asked = deterministic_algorithms() if job["config"].get("deterministic") else nullcontext()
    try:
        with as_asked:
            return {"status": "ok", "error": None, **_task(experiment, job["task"])(job, emit)}
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a model does wrong becomes its row, not the sweep's end
        traceback.print_exc()
        return {"status": status_of(error), "error": f"{type(error).__name__}: {error}", **experiment.found}


def _task(experiment: Any, name: str) -> Callable[[Any, Emit], Mapping[str, Any]]:
    """What a job asks for: to train and measure one `run`, or a part of a comparison of arms."""
    if name == "run":
        return experiment.run
    from benchmarks.arms.tasks import compare_arms, time_first_step

    return {"arms": compare_arms, "first_step": time_first_step}[name]


def end_with_parent(parent: int) -> None:
    """A worker whose runner was killed has nobody to answer to: end it and its children, even within an epoch.

    Args:
        parent: the process id of the runner.
    """
    while os.getppid() == parent:
        time.sleep(1.0)
    from benchmarks.endings import MARK, end_marked

    if mark := os.environ.get(MARK):
        end_marked(mark)  # also what has a session of its own
    if os.getpgrp() == os.getpid():  # as the runner starts it; by hand it may share the group of a shell's pipeline
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def status_of(error: BaseException) -> str:
    """`oom`, `diverged` or `failed`."""
    from benchmarks.memory import is_out_of_memory
    from fmnist_zoo.training.fit import DivergedError

    if isinstance(error, DivergedError):
        return "diverged"
    return "oom" if is_out_of_memory(error) else "failed"


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
