"""A process that runs one variant: it reads jobs as JSON lines, trains, measures, and answers with JSON lines.

The runner starts it anew for each variant; its seeds run inside, so that importing and compiling are paid once. It
writes predictions and weights itself; the record is the runner's, which alone knows the wall time.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.sweep.job import Job
from benchmarks.workers.server import Emit, serve, training_arithmetic


def main() -> None:
    """Serve jobs from standard input until it ends."""
    jobs, emit = serve()
    from benchmarks.sweep.training_run import TrainingRuns  # torch, timm, scikit-learn: booked as the import

    experiment = TrainingRuns()
    emit({"event": "ready"})
    for line in jobs:
        job: Job = json.loads(line)
        emit({"event": "done", **carry_out(experiment, job, emit)})


def carry_out(experiment: Any, job: Job, emit: Emit) -> Mapping[str, Any]:
    """What the run gave; a run that failed says how, and the process lives on."""
    from fmnist_zoo.training.determinism import deterministic_algorithms

    as_asked = deterministic_algorithms() if job.get("config", {}).get("deterministic") else nullcontext()
    try:
        with training_arithmetic(), as_asked:
            return {"status": "ok", "error": None, **_task(experiment, job["task"])(job, emit)}
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever a model does wrong becomes its row, not the sweep's end
        traceback.print_exc()
        return {"status": status_of(error), "error": f"{type(error).__name__}: {error}", **experiment.found}


def _task(experiment: Any, name: str) -> Callable[[Any, Emit], Mapping[str, Any]]:
    """What a job asks for: to train and measure one `run`, a part of a comparison of arms, or of a plan."""
    if name == "run":
        return experiment.run
    if name == "expand":
        from benchmarks.sweep.expansion import expand

        return expand
    from benchmarks.sweep import arm_tasks, trial

    return {
        "arms": arm_tasks.compare_arms,
        "first_step": arm_tasks.time_first_step,
        "try": trial.try_model,
        "estimate": trial.estimate,
        "precision_cost": trial.precision_cost,
    }[name]


def status_of(error: BaseException) -> str:
    """`oom`, `diverged` or `failed`."""
    from benchmarks.measure.memory import is_out_of_memory
    from fmnist_zoo.training.fit import DivergedError

    if isinstance(error, DivergedError):
        return "diverged"
    return "oom" if is_out_of_memory(error) else "failed"


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
