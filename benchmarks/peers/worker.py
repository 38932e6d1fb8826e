"""`python -m benchmarks.peers.worker TASK.json`: the process of one arm, which does an epoch each time it is asked.

It answers each line on standard input with a JSON line about one epoch. What libraries print goes to standard error.
Seconds of the first epoch begin when the modules are imported: reading the files, building the model, compiling and
starting workers are in them.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TextIO

import numpy as np

from benchmarks.measure.memory import peak_resident_mib
from benchmarks.peers.arms import ARMS, Arm
from benchmarks.peers.task import Predict, Task
from benchmarks.workers.server import Emit, serve, training_arithmetic


def main() -> None:
    """Train as the task says, an epoch for each line of input; ends with the input."""
    jobs, emit = serve()
    task = Task.read(Path(sys.argv[1]))
    arms: dict[str, Arm] = {**ARMS}
    arm = arms[task.arm]
    os.environ.update(framework_environment(task.device))
    module = importlib.import_module(f"benchmarks.peers.arms.{arm.module}")
    session = Session(task, arm, jobs, emit)
    emit({"event": "ready"})
    session.wait()
    with training_arithmetic() if arm.framework == "torch" else nullcontext():  # the others load no torch
        module.train(task, session.pause)


def framework_environment(device: str) -> dict[str, str]:
    """What must be in the environment before JAX and Keras are imported."""
    found = {
        "KERAS_BACKEND": "jax",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else one arm would take most of a GPU's memory from the others
    }
    if device == "cpu":
        found["JAX_PLATFORMS"] = "cpu"
    return found


class Session:
    """Times epochs, and lets an arm go on when it is asked to.

    Args:
        task: what is trained.
        arm: by what.
        jobs: a line for each epoch that is asked for.
        emit: sends an answer.
    """

    def __init__(self, task: Task, arm: Arm, jobs: TextIO, emit: Emit) -> None:
        self._task, self._jobs, self._emit = task, jobs, emit
        self._images = task.validation_images()
        self._synchronize, self._device = device_of(arm, task.device)
        self._started = 0.0

    def wait(self) -> None:
        """Return when the next epoch is asked for, and start the clock; end the process when there is none."""
        if not self._jobs.readline():
            raise SystemExit
        self._started = time.perf_counter()

    def pause(self, train_loss: float, num_images: int, predict: Predict) -> None:
        """See `benchmarks.peers.task.Pause`."""
        self._synchronize()
        seconds = time.perf_counter() - self._started
        peak_mem_mib = peak_resident_mib()
        np.save(self._task.logits_path, predict(self._images))
        self._emit(
            {
                "event": "done",
                "epoch_s": seconds,
                "num_images": num_images,
                "train_loss": train_loss,
                "peak_mem_mib": peak_mem_mib,
                "device": self._device(),
            }
        )
        self.wait()


def device_of(arm: Arm, device: str) -> tuple[Callable[[], None], Callable[[], str]]:
    """How to wait until an arm's device is done, and how to learn which device that is."""
    if arm.framework == "jax":
        import jax

        return lambda: None, lambda: str(jax.default_backend())  # losses that are read are those of finished steps
    import torch

    from fmnist_zoo.training.device import synchronizer

    return synchronizer(torch.device(device)), lambda: device


if __name__ == "__main__":
    main()
