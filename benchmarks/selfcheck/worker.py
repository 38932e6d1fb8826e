"""`python -m benchmarks.selfcheck.worker`: a process that measures an arm, started anew like the worker of a run.

Jobs come as JSON lines on standard input, answers go out as JSON lines; what libraries print goes to standard error.
"""

from __future__ import annotations

import json

from benchmarks.selfcheck.config import SelfcheckJob
from benchmarks.workers.server import Emit, serve, training_arithmetic


def main() -> None:
    """Serve jobs until standard input ends; whatever goes wrong ends the process, and the parent shows the last lines.

    A comparison is answered by an event `comparison` as soon as it is done.
    """
    jobs, emit = serve()
    import benchmarks.selfcheck.measure  # noqa: F401  # before it is ready: a job's time begins after the imports

    emit({"event": "ready"})
    for line in jobs:
        with training_arithmetic():
            measure(json.loads(line), emit)


def measure(job: SelfcheckJob, emit: Emit) -> None:
    """Do a job."""
    from benchmarks.selfcheck.measure import Arm, comparisons, rates

    arm = Arm.of(job)
    if job["comparisons"] is None:
        emit({"event": "done", **rates(arm)})
        return
    for found in comparisons(arm, job["comparisons"]):
        emit({"event": "comparison", **found})
    emit({"event": "done", "num_threads": arm.num_threads})


if __name__ == "__main__":
    main()
