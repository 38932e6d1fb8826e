"""A stand-in for the module pynvml, with functions of the same names and a GPU whose state tests set."""

# ruff: noqa: N802  # the names are NVML's

import threading
import types
from typing import Any

UUID = "01234567-89ab-cdef-0123-456789abcdef"


class NVMLError(Exception):
    pass


class FakeNvml:
    """The driver of a machine with the GPU `UUID` as the second of two.

    Args:
        missing: names of functions that this driver or GPU doesn't have; `nvmlInit` for no driver at all.
        mig: whether the GPU is shared out.
    """

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_DEVICE_MIG_ENABLE = 1, 2, 1

    def __init__(self, *missing: str, mig: bool = False) -> None:
        self.missing, self.mig = missing, mig
        self.users = 0
        self.energy_mj, self.busy_pct, self.sm_clock_mhz, self.reasons = 5_000_000, 90, 1755, 0
        self.pids: list[int] = []
        self.num_samples, self.threads = 0, set[threading.Thread]()

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in self.missing:

            def fail(*_: object) -> None:
                raise NVMLError("Not Supported")

            return fail
        return super().__getattribute__(name)

    def nvmlInit(self) -> None:
        self.users += 1

    def nvmlShutdown(self) -> None:
        self.users -= 1

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.65"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != f"GPU-{UUID}":
            raise NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        return [int(self.mig), int(self.mig)]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        return self.energy_mj

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> types.SimpleNamespace:
        self.num_samples += 1
        self.threads.add(threading.current_thread())
        return types.SimpleNamespace(gpu=self.busy_pct, memory=10)

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        return {self.NVML_CLOCK_SM: self.sm_clock_mhz, self.NVML_CLOCK_MEM: 2619}[kind]

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:
        return {self.NVML_CLOCK_SM: 1980, self.NVML_CLOCK_MEM: 2619}[kind]

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        return 650_500

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        return self.reasons

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[types.SimpleNamespace]:
        return [types.SimpleNamespace(pid=pid, usedGpuMemory=2**20) for pid in self.pids]
