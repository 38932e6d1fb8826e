"""Joules by a counter of thousandths on a fake clock, and none where there is no counter."""

import contextlib

import msgspec
import pytest

from benchmarks.measure.nvml import MIN_SECONDS, EnergyMeter
from benchmarks.records.schema import Energy
from tests.benchmarks.fake_nvml import FakeNvml

NOTHING: Energy = {"train_j": None, "train_j_per_1000_img": None, "run_j": None}


class Board(FakeNvml):
    """A GPU that takes 300 W as its clock moves on."""

    def __init__(self, *missing: str) -> None:
        super().__init__(*missing)
        self.now = 100.0

    def spend(self, seconds: float) -> None:
        self.now += seconds
        self.energy_mj += round(300_000 * seconds)

    def meter(self, device: str = "cuda") -> EnergyMeter:
        return EnergyMeter(device, nvml=self, clock=lambda: self.now)


@pytest.mark.usefixtures("torch_gpu")
def test_training_and_the_whole_run_have_their_joules() -> None:
    board = Board()
    meter = board.meter()
    board.spend(5)
    for _ in range(3):  # epochs, with an evaluation after each
        with meter.training():
            board.spend(2)
        board.spend(1)
    found = meter.found(60_000)
    assert found == pytest.approx({"train_j": 1800, "train_j_per_1000_img": 30, "run_j": 4200})
    msgspec.convert(found, Energy)


@pytest.mark.usefixtures("torch_gpu")
def test_a_time_that_the_counter_is_too_coarse_for_has_no_joules() -> None:
    board = Board()
    meter = board.meter()
    with meter.training():
        board.spend(0.9 * MIN_SECONDS)
    assert meter.found(1000) == NOTHING
    board.spend(0.1 * MIN_SECONDS)
    assert meter.found(1000) == {**NOTHING, "run_j": pytest.approx(300 * MIN_SECONDS)}


@pytest.mark.usefixtures("torch_gpu")
def test_a_training_that_fails_has_taken_its_joules() -> None:
    board = Board()
    meter = board.meter()
    with contextlib.suppress(RuntimeError), meter.training():
        board.spend(10)
        raise RuntimeError("out of memory")
    assert meter.found(0) == {"train_j": 3000, "train_j_per_1000_img": None, "run_j": 3000}


@pytest.mark.usefixtures("torch_gpu")
def test_a_counter_that_starts_anew_gives_nothing() -> None:
    board = Board()
    meter = board.meter()
    with meter.training():
        board.spend(10)
        board.energy_mj = 10
    assert meter.found(1000) == NOTHING


@pytest.mark.usefixtures("torch_gpu")
@pytest.mark.parametrize("missing", ["nvmlInit", "nvmlDeviceGetTotalEnergyConsumption"])
def test_without_a_counter_there_are_no_joules(missing: str) -> None:
    board = Board(missing)
    meter = board.meter()
    with meter.training():
        board.spend(10)
    assert meter.found(1000) == NOTHING


def test_a_processor_has_no_counter() -> None:
    board = Board()
    meter = board.meter("cpu")
    with meter.training():
        board.spend(10)
    assert meter.found(1000) == NOTHING
