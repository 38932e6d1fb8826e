"""NVIDIA's management library (NVML): a GPU's state, other users and energy.

Values are None if NVML or nvidia-ml-py is missing or a GPU lacks them; nothing here raises for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.records.schema import Energy

if TYPE_CHECKING:
    import torch

MIN_SECONDS = 2.0
"""Shortest time with an energy: the counter moves about every 100 ms, over 5% of a shorter one."""

CLOCK_REASONS = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""Bits of nvmlClocksEventReasons, by nvidia-smi's names."""


class Gpu:
    """State of a GPU; created by `open_gpu`.

    Args:
        nvml: the module pynvml, initialized.
        handle: NVML's, of the device.
    """

    def __init__(self, nvml: Any, handle: object) -> None:
        self._nvml, self._handle = nvml, handle

    def energy_j(self) -> float | None:
        """Joules since the driver was loaded; the counter moves about every 100 ms."""
        return _scaled(self._ask("nvmlDeviceGetTotalEnergyConsumption"), 1e-3)

    def busy(self) -> float | None:
        """Share of time with a kernel running, over NVML's last sample period of 1/6 s to 1 s."""
        rates = self._ask("nvmlDeviceGetUtilizationRates")
        return None if rates is None else rates.gpu / 100

    def sm_clock_mhz(self) -> int | None:
        """Current clock of the multiprocessors."""
        return self._ask("nvmlDeviceGetClockInfo", self._nvml.NVML_CLOCK_SM)

    def max_sm_clock_mhz(self) -> int | None:
        """Maximum clock of the multiprocessors."""
        return self._ask("nvmlDeviceGetMaxClockInfo", self._nvml.NVML_CLOCK_SM)

    def max_memory_clock_mhz(self) -> int | None:
        """Maximum clock of the memory."""
        return self._ask("nvmlDeviceGetMaxClockInfo", self._nvml.NVML_CLOCK_MEM)

    def power_limit_w(self) -> float | None:
        """The lowest power limit in force."""
        return _scaled(self._ask("nvmlDeviceGetEnforcedPowerLimit"), 1e-3)

    def clock_reasons(self) -> list[str] | None:
        """Current reasons for reduced clocks, by the names in `CLOCK_REASONS`."""
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:
            return None
        set_bits = [1 << place for place in range(64) if bits >> place & 1]
        return [CLOCK_REASONS.get(bit, f"unknown_{bit:#x}") for bit in set_bits]

    def other_processes(self, own: Collection[int]) -> int | None:
        """Number of processes on the GPU besides those with ids in `own`.

        None unless one of `own` is among them: otherwise NVML uses other process ids, as in a container, and can't
        tell own processes from others.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        pids = {process.pid for process in processes or []}
        return len(pids.difference(own)) if pids.intersection(own) else None

    def _ask(self, function: str, *arguments: object) -> Any:
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        except self._nvml.NVMLError:
            return None  # usually not supported by this GPU, driver or container


def open_gpu(device: str | torch.device, *, nvml: Any = None) -> Gpu | None:
    """The GPU of a torch device; None if it isn't NVIDIA's, without NVML, or with MIG.

    Found by its UUID: CUDA_VISIBLE_DEVICES makes torch count the devices in another order than NVML. Of a MIG slice
    NVML has no figures, only of the whole GPU with the slices of others. NVML stays open for as long as the process.

    Args:
        device: as torch names it, such as `cuda` or `cuda:1`.
        nvml: replaces the module pynvml.
    """
    if not str(device).startswith("cuda"):
        return None
    nvml = nvml or _pynvml()
    if nvml is None:
        return None
    import torch

    uuid = str(torch.cuda.get_device_properties(device).uuid)
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid.removeprefix('GPU-')}")
    except nvml.NVMLError:
        return None
    try:
        shared_out = nvml.nvmlDeviceGetMigMode(handle)[0] == nvml.NVML_DEVICE_MIG_ENABLE
    except nvml.NVMLError:
        shared_out = False  # a GPU that has no MIG
    return None if shared_out else Gpu(nvml, handle)


class EnergyMeter:
    """Energy of a GPU for a run, which starts now, and for its training; none for a processor.

    The counter covers the whole board, including others on the same GPU. Synchronize before each end of a part.

    Args:
        device: of the run, as torch names it; no CUDA device, no joules.
        nvml: replaces the module pynvml.
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
            num_images: trained on, counted per epoch.
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
        """Seconds and joules since a reading; a decreased counter was reset by reloading the driver."""
        now_s, now_j = self._read()
        if now_j is None or start[1] is None or now_j < start[1]:
            return now_s - start[0], None
        return now_s - start[0], now_j - start[1]


def driver_version(*, nvml: Any = None) -> str | None:
    """Version of the NVIDIA driver; None without it or nvidia-ml-py."""
    nvml = nvml or _pynvml()
    if nvml is None:
        return None
    try:
        nvml.nvmlInit()
        try:
            return str(nvml.nvmlSystemGetDriverVersion())
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError:
        return None


def _pynvml() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


def _scaled(value: int | None, factor: float) -> float | None:
    return None if value is None else value * factor
