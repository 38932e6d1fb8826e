"""What the micro-benchmarks share: the environment of a run's worker, the machine's fingerprint, device and data."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.measure.machine_details import environment_of
from benchmarks.workers.server import environment, training_arithmetic

if TYPE_CHECKING:
    import torch

    from fmnist_zoo.data.datasets import Dataset
    from fmnist_zoo.data.loader import PixelScale

OF_THE_COMMIT = ("commit", "dirty")
"""Software that pytest-benchmark keeps as commit_info: inside machine_info, each commit would be another machine."""
OF_THE_MOMENT = ("hz_actual", "hz_actual_friendly")
"""What py-cpuinfo says of the clock at that instant, no two times the same."""
AT_START = dict(os.environ)  # torch and its compiler set some of their own on the way


def pytest_configure(config: pytest.Config) -> None:
    """Start anew, in the same process, with the environment of a run's worker: it must be there before Python starts.

    What is set already is kept, so the second time nothing is missing.
    """
    wanted = environment()
    if not config.getoption("benchmark_enable") or wanted == AT_START:
        return
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()  # else what follows would be written into pytest's temporary file
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], wanted)  # noqa: S606  # the command as it was given


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:  # noqa: ARG001
    """Add the fingerprint that records have, and what was in force.

    pytest-benchmark warns where two measurements that it compares differ in any of it.
    """
    import torch

    device = str(_device())
    for name in OF_THE_MOMENT:
        machine_info["cpu"].pop(name, None)
    here = environment_of(device, num_threads=torch.get_num_threads(), variables=AT_START)
    software = {name: value for name, value in here["software"].items() if name not in OF_THE_COMMIT}
    machine_info |= {**here, "software": software}


@pytest.fixture(scope="session")
def device() -> torch.device:
    """CUDA or MPS where there is one, else the CPU."""
    return _device()


@pytest.fixture(scope="session")
def synchronize(device: torch.device) -> Callable[[], None]:
    """Waits for the device: the last thing in whatever is timed."""
    from fmnist_zoo.training.device import synchronizer

    return synchronizer(device)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Fashion-MNIST, fetched where it isn't there yet."""
    from fmnist_zoo.data.datasets import load_dataset

    return load_dataset("fashion_mnist")


@pytest.fixture(scope="session")
def scale(dataset: Dataset) -> PixelScale:
    """Pixels to mean 0 and deviation 1."""
    from fmnist_zoo.data.loader import PixelScale

    return PixelScale.of("standardize", dataset)


@pytest.fixture(autouse=True)
def compiler_forgets() -> Iterator[None]:
    """Begin with a compiler that knows no other variant, whose recompiles would count against this one's limit."""
    import torch

    torch._dynamo.reset()
    with training_arithmetic():
        yield
    torch._dynamo.reset()  # what was compiled holds on to models and their memory


def _device() -> torch.device:
    from fmnist_zoo.training.device import resolve_device

    return resolve_device("auto")
