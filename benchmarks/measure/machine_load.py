"""Load during timed parts of a run: the run itself, other processes, the hypervisor, other users of the GPU.

The processor from kernel counters at both ends of a part; an NVIDIA GPU from NVML samples in between.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.measure.machine_details import usable_cores
from benchmarks.measure.nvml import Gpu, open_gpu
from benchmarks.records.schema import Load

if TYPE_CHECKING:
    import torch

MIN_SECONDS = 0.2
"""Shortest part with shares: the kernel counts in ticks of 10 ms, at both ends of a part and on each core."""
SAMPLE_EVERY_S = 0.2
BUSY_PERIOD_S = 1.0
"""NVML's busy share covers up to a second: an earlier reading includes time before the part."""

_NOT_BUSY = ("idle", "iowait", "steal", "guest", "guest_nice")  # Linux includes guest time in `user`


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """The system's counters at one moment, in seconds.

    `busy_s` and `stolen_s` have one entry per core this process may run on, always in the same order; `own_s` is the
    time of this process and its descendants on all cores. Stolen time went to other guests of the hypervisor; None if
    not counted.
    """

    busy_s: dict[int, float]
    stolen_s: dict[int, float] | None
    own_s: float


def cpu_times() -> CpuTimes:
    """Read the counters, of Linux and macOS.

    Only cores that this process may run on count, all where the system doesn't say which. Of a machine with 64 cores of
    which a run has two, another process on one of the two takes half; on the rest it isn't in the way.
    """
    cores = dict(enumerate(psutil.cpu_times(percpu=True)))
    usable = usable_cores()
    # Linux lists the cores that are on, without their numbers: these are known where none is off.
    if usable is not None and len(cores) == os.sysconf("SC_NPROCESSORS_CONF"):
        cores = {number: cores[number] for number in usable}
    busy = {
        number: sum(seconds for name, seconds in core._asdict().items() if name not in _NOT_BUSY)
        for number, core in cores.items()
    }
    counted = all(hasattr(core, "steal") for core in cores.values())
    stolen = {number: core.steal for number, core in cores.items()} if counted else None
    # Descendants first: one that ends meanwhile is then counted by its parent, and not lost.
    return CpuTimes(busy, stolen, sum(_used_s(process) for process in reversed(_own_processes())))


def _own_processes() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def _used_s(process: psutil.Process) -> float:
    """Seconds of CPU time of a process and of its children that have ended; 0 once it has ended itself."""
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return times.user + times.system + times.children_user + times.children_system


@dataclass(slots=True)
class _GpuSamples:
    busy: list[float] = field(default_factory=list)
    sm_clock_mhz: list[int] = field(default_factory=list)
    reasons: set[str] | None = None
    other_processes: int | None = None

    def take(self, gpu: Gpu, own: set[int], *, since_s: float) -> None:
        """Take a GPU sample, `since_s` after the start of the part."""
        busy, clock_mhz, reasons = gpu.busy(), gpu.sm_clock_mhz(), gpu.clock_reasons()
        others = gpu.other_processes(own)
        if busy is not None and since_s >= BUSY_PERIOD_S:
            self.busy.append(busy)
        if clock_mhz is not None:
            self.sm_clock_mhz.append(clock_mhz)
        if reasons is not None:
            self.reasons = (self.reasons or set()).union(reasons)
        if others is not None:
            self.other_processes = max(others, self.other_processes or 0)


@dataclass(slots=True)
class _Part:
    """Load of a part, summed over all its entries."""

    seconds: float = 0.0
    core_s: float = 0.0
    busy_s: float = 0.0
    stolen_s: float | None = 0.0
    own_s: float = 0.0
    gpu: _GpuSamples = field(default_factory=_GpuSamples)

    def add(self, seconds: float, start: CpuTimes, end: CpuTimes) -> None:
        cores = start.busy_s.keys() & end.busy_s.keys()
        self.seconds += seconds
        self.core_s += seconds * len(cores)
        self.busy_s += sum(end.busy_s[core] - start.busy_s[core] for core in cores)
        self.own_s += end.own_s - start.own_s
        if self.stolen_s is None or start.stolen_s is None or end.stolen_s is None:
            self.stolen_s = None
        else:
            self.stolen_s += sum(end.stolen_s[core] - start.stolen_s[core] for core in cores)

    def load(self) -> Load:
        return {
            "seconds": self.seconds,
            "own_cpu": self._share(self.own_s),
            "own_cpu_s": max(0.0, self.own_s) if self.seconds >= MIN_SECONDS else None,
            "other_cpu": self._share(self.busy_s - self.own_s),
            "stolen_cpu": self._share(self.stolen_s),
            "gpu_busy": statistics.fmean(self.gpu.busy) if self.gpu.busy else None,
            "gpu_other_processes": self.gpu.other_processes,
            "gpu_throttle_reasons": None if self.gpu.reasons is None else sorted(self.gpu.reasons),
            "gpu_sm_clock_mhz": statistics.median(self.gpu.sm_clock_mhz) if self.gpu.sm_clock_mhz else None,
        }

    def _share(self, used_s: float | None) -> float | None:
        """Share of all cores' time; ticks may exceed the bounds a little."""
        if used_s is None or self.seconds < MIN_SECONDS or not self.core_s:
            return None
        return min(1.0, max(0.0, used_s / self.core_s))


class LoadWatch:
    """Records machine load during parts of a run: `with watch.part("train"): ...`.

    Reading the counters takes a few milliseconds at both ends of a part: put the clock inside. Queued device work
    belongs to the part that waits for it.

    Args:
        device: of the run, as torch names it; a CUDA device is watched by a thread that ends with each part.
        nvml: replaces the module pynvml.
        clock: seconds, monotonic.
        times: the counters.
        sample_every_s: interval of GPU samples.
    """

    def __init__(
        self,
        device: str | torch.device,
        *,
        nvml: Any = None,
        clock: Callable[[], float] = time.monotonic,
        times: Callable[[], CpuTimes] = cpu_times,
        sample_every_s: float = SAMPLE_EVERY_S,
    ) -> None:
        self._gpu = open_gpu(device, nvml=nvml)
        self._clock, self._times = clock, times
        self._sample_every_s = sample_every_s
        self._parts: dict[str, _Part] = {}

    @property
    def found(self) -> dict[str, Load]:
        """Load during each part so far, summed over its entries."""
        return {name: part.load() for name, part in self._parts.items()}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Record load during the `with` block."""
        part = self._parts.setdefault(name, _Part())
        start, since = self._times(), self._clock()
        try:
            with self._watching_gpu(part.gpu, since):
                yield
        finally:
            seconds = self._clock() - since
            part.add(seconds, start, self._times())

    @contextlib.contextmanager
    def _watching_gpu(self, samples: _GpuSamples, since: float) -> Iterator[None]:
        """Sample the GPU regularly in a thread, and once at the end."""
        if self._gpu is None:
            yield
            return
        gpu, done = self._gpu, threading.Event()
        # The process that started this one has looked at the GPU, and waits for the run.
        own = {os.getppid(), *(process.pid for process in _own_processes())}

        def watch() -> None:
            ended = False
            while not ended:
                ended = done.wait(self._sample_every_s)
                samples.take(gpu, own, since_s=self._clock() - since)

        thread = threading.Thread(target=watch, name="gpu-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
