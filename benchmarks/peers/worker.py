"""Worker side of the comparison: trains one arm, one epoch per request.

The first epoch is timed from the end of the imports: it includes reading files, building the model, compilation and
starting workers.
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
    """Environment variables to set before importing JAX and Keras."""
    found = {
        "KERAS_BACKEND": "jax",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # else one arm would take most of the GPU memory
    }
    if device == "cpu":
        found["JAX_PLATFORMS"] = "cpu"
    return found


class Peer:
    """Trains an arm and answers after each epoch.

    Args:
        arm: key of `ARMS`.
        device: of torch.
    """

    def __init__(self, arm: str, device: str) -> None:
        os.environ.update(framework_environment(device))
        arms: dict[str, Arm] = {**ARMS}
        self._arm = arms[arm]
        self._module = importlib.import_module(f"benchmarks.peers.arms.{self._arm.module}")

    def __call__(self, job: dict[str, Any], server: Server) -> dict[str, Any]:
        """Train the task of a job; each further job asks for one more epoch."""
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
    """Functions that synchronize an arm's device and return its name."""
    if arm.framework == "jax":
        import jax

        return lambda: None, lambda: str(jax.default_backend())  # reading a loss waits for its step
    import torch

    from fmnist_zoo.training.device import synchronizer

    return synchronizer(torch.device(device)), lambda: device
