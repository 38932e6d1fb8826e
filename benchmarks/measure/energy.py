"""Energy that a GPU takes for a run, by NVML's counter of the whole board; there is none for a processor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.measure.nvml import open_gpu
from benchmarks.records.schema import Energy

if TYPE_CHECKING:
    import torch

MIN_SECONDS = 2.0
"""Of a shorter time there is no figure: the counter moves about every 100 ms, which would be over 5% of it."""


class EnergyMeter:
    """Joules of a run, which begins now, and of its training.

    Others on the same GPU are counted, too. Wait for the device before each end of a part.

    Args:
        device: of the run, as torch names it; no CUDA device, no joules.
        nvml: in the place of the module pynvml.
        clock: seconds, monotonic.
    """

    def __init__(
        self, device: str | torch.device, *, nvml: Any = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._gpu, self._clock = open_gpu(device, nvml=nvml), clock
        self._start = self._read()
        self._train_s, self._train_j = 0.0, 0.0 if self._start[1] is not None else None

    @contextmanager
    def training(self) -> Iterator[None]:
        """Count the `with` block as training; one block for each epoch adds up."""
        start = self._read()
        try:
            yield
        finally:
            seconds, joules = self._since(start)
            self._train_s += seconds
            self._train_j = None if self._train_j is None or joules is None else self._train_j + joules

    def found(self, num_images: int) -> Energy:
        """Joules so far.

        Args:
            num_images: that were trained on, those of every epoch counted again.
        """
        train_j = self._train_j if self._train_s >= MIN_SECONDS else None
        run_s, run_j = self._since(self._start)
        return {
            "train_j": train_j,
            "train_j_per_1000_img": None if train_j is None or num_images <= 0 else train_j / num_images * 1000,
            "run_j": run_j if run_s >= MIN_SECONDS else None,
        }

    def _read(self) -> tuple[float, float | None]:
        return self._clock(), None if self._gpu is None else self._gpu.energy_j()

    def _since(self, start: tuple[float, float | None]) -> tuple[float, float | None]:
        """Seconds and joules since a reading; a counter that went back was set to 0 by a driver loaded anew."""
        now_s, now_j = self._read()
        if now_j is None or start[1] is None or now_j < start[1]:
            return now_s - start[0], None
        return now_s - start[0], now_j - start[1]
