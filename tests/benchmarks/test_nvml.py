"""What NVML says of a GPU, and that nothing is said, and nothing raised, where it can't be had."""

import sys

import pynvml
import pytest
import torch

from benchmarks.measure.nvml import CLOCK_REASONS, Gpu, driver_version, open_gpu
from tests.benchmarks.fake_nvml import FakeNvml

FIGURES: dict[str, tuple[str, object]] = {
    "energy_j": ("nvmlDeviceGetTotalEnergyConsumption", 5000.0),
    "busy": ("nvmlDeviceGetUtilizationRates", 0.9),
    "sm_clock_mhz": ("nvmlDeviceGetClockInfo", 1755),
    "max_sm_clock_mhz": ("nvmlDeviceGetMaxClockInfo", 1980),
    "max_memory_clock_mhz": ("nvmlDeviceGetMaxClockInfo", 2619),
    "power_limit_w": ("nvmlDeviceGetEnforcedPowerLimit", 650.5),
    "clock_reasons": ("nvmlDeviceGetCurrentClocksEventReasons", []),
}


def gpu_of(nvml: FakeNvml) -> Gpu:
    gpu = open_gpu("cuda", nvml=nvml)
    assert gpu is not None
    return gpu


def test_the_stand_in_has_what_the_real_module_has() -> None:
    names = [name for name in vars(FakeNvml) if name.lower().startswith("nvml")]
    assert len(names) > 10
    assert [name for name in names if not hasattr(pynvml, name)] == []
    constants = [name for name in names if name.isupper()]
    assert [getattr(FakeNvml, name) for name in constants] == [getattr(pynvml, name) for name in constants]


def test_reasons_have_the_bits_of_the_real_module() -> None:
    real = {
        value: name.removeprefix("nvmlClocksEventReason").lower()
        for name, value in vars(pynvml).items()
        if name.startswith("nvmlClocksEventReason") and isinstance(value, int) and value in CLOCK_REASONS
    }
    renamed = {"applications_clocks_setting": "userdefinedclocks"}  # two names for one bit; the later one wins above
    assert real == {bit: renamed.get(name, name.replace("_", "")) for bit, name in CLOCK_REASONS.items()}


@pytest.mark.usefixtures("torch_gpu")
@pytest.mark.parametrize("figure", FIGURES)
def test_a_gpu_gives_figures_or_none_each_for_itself(figure: str) -> None:
    function, expected = FIGURES[figure]
    assert getattr(gpu_of(FakeNvml()), figure)() == expected
    without = gpu_of(FakeNvml(function))
    assert getattr(without, figure)() is None
    others = [name for name, (needs, _) in FIGURES.items() if needs != function]
    assert all(getattr(without, name)() == FIGURES[name][1] for name in others)


@pytest.mark.usefixtures("torch_gpu")
def test_a_gpu_is_found_by_its_identity_and_not_by_its_place() -> None:
    assert open_gpu(torch.device("cuda", 0), nvml=FakeNvml()) is not None
    assert open_gpu("cuda:1", nvml=FakeNvml()) is None  # torch has a device that NVML doesn't know


@pytest.mark.usefixtures("torch_gpu")
def test_a_gpu_that_is_shared_out_gives_nothing_of_others() -> None:
    assert open_gpu("cuda", nvml=FakeNvml(mig=True)) is None
    assert open_gpu("cuda", nvml=FakeNvml("nvmlDeviceGetMigMode")) is not None  # older than MIG


@pytest.mark.usefixtures("torch_gpu")
def test_clock_reasons_have_names() -> None:
    nvml = FakeNvml()
    gpu = gpu_of(nvml)
    nvml.reasons = 0x1 | 0x40 | 0x8000
    assert gpu.clock_reasons() == ["gpu_idle", "hw_thermal_slowdown", "unknown_0x8000"]


@pytest.mark.usefixtures("torch_gpu")
@pytest.mark.parametrize(
    ("pids", "expected"),
    [([7], 0), ([7, 8, 9, 10], 2), ([9, 10], None), ([], None)],
    ids=["alone", "others", "by other ids, as in a container", "hidden"],
)
def test_other_processes_are_counted_where_own_ones_are_known(pids: list[int], expected: int | None) -> None:
    nvml = FakeNvml()
    nvml.pids = pids
    assert gpu_of(nvml).other_processes({7, 8}) == expected
    assert gpu_of(FakeNvml("nvmlDeviceGetComputeRunningProcesses")).other_processes({7, 8}) is None


@pytest.mark.usefixtures("torch_gpu")
def test_without_a_driver_or_the_package_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_gpu("cuda", nvml=FakeNvml("nvmlInit")) is None
    assert driver_version(nvml=FakeNvml("nvmlInit")) is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert open_gpu("cuda") is None
    assert driver_version() is None


def test_other_devices_are_not_asked_for() -> None:
    nvml = FakeNvml()
    assert open_gpu("cpu", nvml=nvml) is None
    assert open_gpu("mps", nvml=nvml) is None
    assert nvml.users == 0


def test_the_driver_is_asked_for_and_the_library_let_go() -> None:
    nvml = FakeNvml()
    assert driver_version(nvml=nvml) == "580.65"
    assert nvml.users == 0
    broken = FakeNvml("nvmlSystemGetDriverVersion")
    assert driver_version(nvml=broken) is None
    assert broken.users == 0
