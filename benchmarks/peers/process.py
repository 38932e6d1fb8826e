"""Parent's side of an arm: a process of its own, asked for one epoch at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.task import Task
from benchmarks.workers.client import Worker, serving
from benchmarks.workers.slot import Slot


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmEpoch:
    """One epoch of an arm. `epoch_s` of the first includes set-up and compilation, not imports."""

    epoch_s: float
    num_images: int
    train_loss: float
    val_top1_pct: float
    peak_mem_mib: float
    """Of the process so far."""
    device: str


class ArmProcess:
    """Arm in a process of its own, started on the first call of `epoch`.

    Its environment is that of the runner's workers, the same for every arm.

    Args:
        task: its training.
        val_labels: `(n,)`, labels for scoring its predictions.
        num_threads: see `Worker`.
    """

    def __init__(self, task: Task, val_labels: NDArray[np.int64], num_threads: int | None = None) -> None:
        self._task, self._val_labels = task, val_labels
        command = serving("benchmarks.peers.worker:Peer", task.arm, task.device)
        self._slot = Slot(lambda: Worker(num_threads, command=command))

    def epoch(self) -> ArmEpoch:
        """Train one epoch.

        Raises:
            JobError: it failed or exited; the message has its last lines of output.
        """
        result = self._slot.need(asdict(self._task))
        found = {field.name: result[field.name] for field in fields(ArmEpoch) if field.name in result}
        top1_pct = 100.0 * float((self.logits().argmax(1) == self._val_labels).mean())
        return ArmEpoch(**found, val_top1_pct=top1_pct)

    def logits(self) -> NDArray[np.float32]:
        """Logits `(n, 10)` of the validation images after the last epoch."""
        return np.load(Path(self._task.logits_path))

    def close(self) -> None:
        """End the process."""
        self._slot.clear()
