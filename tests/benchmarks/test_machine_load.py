"""Who used the machine during a part: on counters made by hand, on a GPU that is a stand-in, and for real."""

import collections
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import machine_load
from benchmarks.measure.machine_details import usable_cores
from benchmarks.measure.machine_load import BUSY_PERIOD_S, MIN_SECONDS, CpuTimes, LoadWatch, cpu_times
from benchmarks.records.schema import Load
from benchmarks.report.columns import COLUMNS
from benchmarks.report.frames import csv, throughput_frame
from benchmarks.report.rows import sections
from tests.benchmarks.fake_nvml import FakeNvml
from tests.benchmarks.sample_records import make_config, make_record
from tests.benchmarks.test_report_page import cells, page_of

SHARES = ("own_cpu", "other_cpu", "stolen_cpu")
FIGURES_OF_NVML = [name for name in vars(FakeNvml) if name.startswith("nvmlDeviceGet") and "Handle" not in name]
GPU_FIGURES = ("gpu_busy", "gpu_other_processes", "gpu_throttle_reasons", "gpu_sm_clock_mhz")


def times(busy: list[float], own: float, stolen: list[float] | None = None) -> CpuTimes:
    """The counters of a machine: seconds by core."""
    return CpuTimes(dict(enumerate(busy)), None if stolen is None else dict(enumerate(stolen)), own)


def watch(*readings: CpuTimes, seconds: float) -> dict[str, Load]:
    """What is found in a part that was entered once for every two readings, each time for some seconds."""
    clock = iter(step * seconds for step in range(len(readings)))
    counters = iter(readings)
    watch = LoadWatch("cpu", clock=lambda: next(clock), times=lambda: next(counters))
    for _ in range(len(readings) // 2):
        with watch.part("train"):
            pass
    found = watch.found
    msgspec.convert(found, dict[str, Load])
    return found


def test_shares_are_of_the_time_of_all_cores() -> None:
    # 4 cores for 10 s: 20 s of the run's own, 8 s of others, 2 s stolen
    found = watch(times([5, 5, 0, 0], 3, [0] * 4), times([15, 13, 6, 4], 23, [1, 1, 0, 0]), seconds=10)["train"]
    assert found["seconds"] == 10
    assert [found[share] for share in SHARES] == pytest.approx([20 / 40, 8 / 40, 2 / 40])
    assert all(found[figure] is None for figure in GPU_FIGURES)


def test_a_part_that_is_entered_again_adds_up() -> None:
    found = watch(times([0, 0], 0), times([10, 0], 10), times([10, 50], 10), times([10, 60], 10), seconds=10)["train"]
    assert found["seconds"] == 20
    assert (found["own_cpu"], found["other_cpu"]) == pytest.approx((10 / 40, 10 / 40))


def test_what_the_system_does_not_count_is_unknown() -> None:
    found = watch(times([0], 0, None), times([1], 1, None), seconds=1)["train"]
    assert (found["own_cpu"], found["other_cpu"], found["stolen_cpu"]) == (1.0, 0.0, None)


def test_a_core_that_was_not_there_all_the_time_is_left_out() -> None:
    start = CpuTimes({0: 0.0, 1: 0.0}, {0: 0.0, 1: 0.0}, 0.0)
    found = watch(start, CpuTimes({0: 5.0}, {0: 0.0}, 1.0), seconds=10)["train"]
    assert (found["own_cpu"], found["other_cpu"]) == pytest.approx((0.1, 0.4))


@pytest.mark.parametrize("seconds", [0.0, MIN_SECONDS / 2])
def test_a_part_of_few_ticks_has_no_shares(seconds: float) -> None:
    found = watch(times([0, 0], 0, [0, 0]), times([0.01, 0.01], 0.01, [0, 0]), seconds=seconds)["train"]
    assert [found[share] for share in SHARES] == [None] * 3
    assert found["seconds"] == seconds


seconds_of_cores = st.lists(st.floats(0, 1e6), min_size=3, max_size=3)


@given(seconds_of_cores, seconds_of_cores, seconds_of_cores, st.floats(-10, 1e6), st.floats(0, 1e5), st.integers(1, 3))
def test_shares_are_shares_whatever_the_counters_say(
    before: list[float], after: list[float], stolen: list[float], own: float, seconds: float, entries: int
) -> None:
    readings = [times(before, 0, [0] * 3), times(after, own, stolen)] * entries
    found = watch(*readings, seconds=seconds)["train"]
    shares = [found[share] for share in SHARES]
    assert all(share is None or 0 <= share <= 1 for share in shares)
    assert (None in shares) == (found["seconds"] < MIN_SECONDS)


def test_a_part_that_fails_is_watched_to_its_end() -> None:
    clock = iter([0.0, 4.0])
    counters = iter([times([0], 0), times([3], 1)])
    watch = LoadWatch("cpu", clock=lambda: next(clock), times=lambda: next(counters))
    with pytest.raises(RuntimeError, match="out of memory"), watch.part("train"):
        raise RuntimeError("out of memory")
    assert watch.found["train"]["other_cpu"] == pytest.approx(0.5)


BURN = "import time\nwhile time.process_time() < 0.5: pass"


def cpu_seconds(found: Load, share: str) -> float:
    value = found[share]  # type: ignore[literal-required]
    assert isinstance(value, float)
    return value * found["seconds"] * len(usable_cores() or range(os.cpu_count() or 1))


def test_the_time_of_children_is_the_runs_own_and_that_of_strangers_is_not() -> None:
    """For real: a child process, and a process whose parent has left it, use half a second of CPU time each."""
    watch = LoadWatch("cpu")
    with watch.part("child"):
        subprocess.run([sys.executable, "-c", BURN], check=True)
    with watch.part("stranger"):  # read until the last one that holds the pipe has ended
        subprocess.run(["sh", "-c", '"$0" -c "$1" &', sys.executable, BURN], check=True, stdout=subprocess.PIPE)
    child, stranger = watch.found["child"], watch.found["stranger"]
    assert cpu_seconds(child, "own_cpu") > 0.4
    assert cpu_seconds(stranger, "own_cpu") < 0.3
    assert cpu_seconds(stranger, "other_cpu") > 0.2  # ticks are samples
    msgspec.convert(watch.found, dict[str, Load])


def test_the_time_of_a_child_counts_while_it_runs_and_after_it_has_ended() -> None:
    code = BURN + "\nprint(flush=True); input()"
    watch = LoadWatch("cpu")
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        with watch.part("child"):
            child.stdout.readline()
        running = cpu_times().own_s
        child.communicate(b"\n")
    assert cpu_seconds(watch.found["child"], "own_cpu") > 0.4
    assert cpu_times().own_s > running - 0.1


def test_waiting_and_stolen_time_is_not_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    linux = collections.namedtuple("linux", "user nice system idle iowait irq softirq steal guest guest_nice")  # noqa: PYI024
    macos = collections.namedtuple("macos", "user nice system idle")  # noqa: PYI024
    monkeypatch.setattr(machine_load, "usable_cores", lambda: None)
    monkeypatch.setattr(machine_load.psutil, "cpu_times", lambda percpu: [linux(1, 2, 4, 100, 200, 8, 16, 32, 1, 2)])
    assert (cpu_times().busy_s, cpu_times().stolen_s) == ({0: 31}, {0: 32})
    monkeypatch.setattr(machine_load.psutil, "cpu_times", lambda percpu: [macos(1, 2, 4, 100), macos(8, 0, 0, 7)])
    assert (cpu_times().busy_s, cpu_times().stolen_s) == ({0: 7, 1: 8}, None)


def test_counters_are_of_the_cores_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    every = cpu_times()
    assert len(every.busy_s) >= len(usable_cores() or [1])
    one = max(every.busy_s)
    monkeypatch.setattr(machine_load, "usable_cores", lambda: {one})
    assert list(cpu_times().busy_s) == [one]
    # A core is off: the system's list has fewer entries, and nobody knows which is whose.
    monkeypatch.setattr(machine_load.os, "sysconf", lambda name: 10_000)
    assert len(cpu_times().busy_s) == os.cpu_count()


class Clock:
    """Moves on by a step with every look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@pytest.fixture
def gpu_threads() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "gpu-watch"]


def watch_gpu(nvml: FakeNvml, clock: Clock, *, samples: int) -> Load:
    """A part on the stand-in, until it was asked for some samples at least."""
    watch = LoadWatch("cuda", nvml=nvml, clock=clock, sample_every_s=0.001)
    with watch.part("train"):
        deadline = time.monotonic() + 30
        while nvml.num_samples < samples and time.monotonic() < deadline:
            time.sleep(0.001)
    msgspec.convert(watch.found, dict[str, Load])
    return watch.found["train"]


@pytest.mark.usefixtures("torch_gpu", "gpu_threads")
def test_a_gpu_is_sampled_while_a_part_is_open() -> None:
    nvml = FakeNvml()
    nvml.pids, nvml.reasons = [os.getpid(), os.getppid(), 1], 0x4 | 0x40
    found = watch_gpu(nvml, Clock(BUSY_PERIOD_S), samples=3)
    assert (found["gpu_busy"], found["gpu_sm_clock_mhz"]) == pytest.approx((0.9, 1755))
    assert found["gpu_other_processes"] == (os.getppid() != 1)
    assert found["gpu_throttle_reasons"] == ["hw_thermal_slowdown", "sw_power_cap"]
    assert nvml.num_samples >= 3
    assert all(thread.daemon for thread in nvml.threads) and threading.main_thread() not in nvml.threads


@pytest.mark.usefixtures("torch_gpu", "gpu_threads")
def test_busy_shares_from_before_a_part_do_not_count() -> None:
    found = watch_gpu(FakeNvml(), Clock(1e-6), samples=3)
    assert found["gpu_busy"] is None and found["gpu_sm_clock_mhz"] == 1755


@pytest.mark.usefixtures("torch_gpu", "gpu_threads")
def test_every_reason_and_the_most_processes_stay() -> None:
    nvml = FakeNvml()
    watch = LoadWatch("cuda", nvml=nvml, sample_every_s=60)  # once, at the end of each part
    for reasons, pids in [(0x8, [os.getpid(), 90001, 90002]), (0x0, [os.getpid()])]:
        nvml.reasons, nvml.pids = reasons, pids
        with watch.part("train"):
            pass
    assert watch.found["train"]["gpu_throttle_reasons"] == ["hw_slowdown"]
    assert watch.found["train"]["gpu_other_processes"] == 2


@pytest.mark.usefixtures("torch_gpu", "gpu_threads")
def test_the_thread_ends_with_a_part_that_fails() -> None:
    watch = LoadWatch("cuda", nvml=FakeNvml(), sample_every_s=60)
    with pytest.raises(KeyboardInterrupt), watch.part("train"):
        raise KeyboardInterrupt
    assert watch.found["train"]["gpu_sm_clock_mhz"] == 1755


@pytest.mark.usefixtures("torch_gpu", "gpu_threads")
@pytest.mark.parametrize("missing", [["nvmlInit"], FIGURES_OF_NVML], ids=["no driver", "no figures"])
def test_without_nvml_the_processor_is_watched_alone(missing: list[str]) -> None:
    watch = LoadWatch("cuda", nvml=FakeNvml(*missing), sample_every_s=0.001)
    with watch.part("train"):
        time.sleep(MIN_SECONDS)
    found = watch.found["train"]
    assert found["own_cpu"] is not None
    assert all(found[figure] is None for figure in GPU_FIGURES)  # type: ignore[literal-required]


def test_busy_cores_and_cpu_time_per_image_are_shown_where_a_row_has_them() -> None:
    load = watch(times([0, 0], 3.0, [0, 0]), times([9, 9], 18.0, [0, 0]), seconds=10)
    assert load["train"].get("own_cpu_s") == 15.0
    measured = make_record(load=load)  # 1,075 steps of 256 images
    (row,) = sections([measured])[0].rows
    assert COLUMNS["busy_cores"].of(row) == 1.5
    assert COLUMNS["train_cpu_us_per_img"].of(row) == pytest.approx(15e6 / (1075 * 256))
    before = make_record(make_config("cnn"), load={"train": {**load["train"], "own_cpu_s": None}})
    assert {"54.5", "1.50"} <= set(cells(page_of([measured, before]), "mlp", table=1))
    assert "train CPU, µs/img" in page_of([measured]) and "train CPU" not in page_of([before])
    assert "busy_cores" in csv([throughput_frame(sections([before, measured])[0])])
    assert "busy_cores" not in csv([throughput_frame(sections([before])[0])])


def test_cpu_time_per_image_is_unknown_where_another_process_trained_some_of_them() -> None:
    load = watch(times([0], 0), times([9], 5.0), seconds=10)
    went_on = make_record(load=load, flags=[{"kind": "resumed", "evidence": "Killed once.", "advice": None}])
    (row,) = sections([went_on])[0].rows
    assert COLUMNS["train_cpu_us_per_img"].of(row) is None and COLUMNS["busy_cores"].of(row) == 0.5
