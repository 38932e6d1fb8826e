"""What a worker does for the comparison: it trains one arm, an epoch each time it is asked.

The clock of the first epoch begins when the modules are imported: reading the files, building the model, compiling and
starting workers are in it.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure.memory import peak_resident_mib
from benchmarks.peers.arms import ARMS, Arm
from benchmarks.peers.task import Predict, Task

if TYPE_CHECKING:
    from benchmarks.workers.server import Server


def framework_environment(device: str) -> dict[str, str]:
    """What must be in the environment before JAX and Keras are imported."""
    found = {
        "KERAS_BACKEND": "jax",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else one arm would take most of a GPU's memory from the others
    }
    if device == "cpu":
        found["JAX_PLATFORMS"] = "cpu"
    return found


class Peer:
    """Trains an arm, and answers after each epoch.

    Args:
        arm: a key of `ARMS`.
        device: of torch.
    """

    def __init__(self, arm: str, device: str) -> None:
        os.environ.update(framework_environment(device))
        arms: dict[str, Arm] = {**ARMS}
        self._arm = arms[arm]
        self._module = importlib.import_module(f"benchmarks.peers.arms.{self._arm.module}")

    def __call__(self, job: dict[str, Any], server: Server) -> dict[str, Any]:
        """Train as the task in a job says; the jobs that follow ask for an epoch more each."""
        task = Task(**job)
        synchronize, device = device_of(self._arm, task.device)
        started = time.perf_counter()

        def pause(train_loss: float, num_images: int, predict: Predict) -> None:
            nonlocal started
            synchronize()
            seconds, peak_mem_mib = time.perf_counter() - started, peak_resident_mib()
            np.save(task.logits_path, predict(task.validation_images()))
            server.pause(
                {
                    "epoch_s": seconds,
                    "num_images": num_images,
                    "train_loss": train_loss,
                    "peak_mem_mib": peak_mem_mib,
                    "device": device(),
                }
            )
            started = time.perf_counter()

        self._module.train(task, pause)
        raise RuntimeError(f"{task.arm} was asked for an epoch beyond its {task.epochs}")


def device_of(arm: Arm, device: str) -> tuple[Callable[[], None], Callable[[], str]]:
    """How to wait until an arm's device is done, and how to learn which device that is."""
    if arm.framework == "jax":
        import jax

        return lambda: None, lambda: str(jax.default_backend())  # losses that are read are those of finished steps
    import torch

    from fmnist_zoo.training.device import synchronizer

    return synchronizer(torch.device(device)), lambda: device
