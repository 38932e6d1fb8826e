"""The batch-size sweep: powers of two until one doesn't fit or takes too long, and the knee."""

import gc
from collections.abc import Iterator

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import batch_sizes, clock
from benchmarks.measure.batch_sizes import batch_sweep, knee, sizes
from benchmarks.records.schema import BatchPoint
from fmnist_zoo.data import Dataset
from tests.benchmarks.test_throughput import CPU, trained


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """Garbage is collected before each size: half a second where all of the compiler is loaded, which is left out."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def point(size: int, rate: float | None) -> BatchPoint:
    return {"batch_size": size, "img_per_s": rate, "samples_img_per_s": [], "note": None}


def test_the_knee_is_the_smallest_batch_within_a_tenth_of_the_best() -> None:
    assert knee([point(8, 50.0), point(16, 89.0), point(32, 91.0), point(64, 100.0), point(128, None)]) == 32
    assert knee([point(8, None)]) is None and knee([]) is None


@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=12))
def test_every_smaller_batch_is_slower_than_the_knee_allows(rates: list[float]) -> None:
    points = [point(2**power, rate) for power, rate in enumerate(rates)]
    found = knee(points)
    assert found is not None
    assert rates[found.bit_length() - 1] >= 0.9 * max(rates)
    assert all(rate < 0.9 * max(rates) for rate in rates[: found.bit_length() - 1])


def test_sizes_are_powers_of_two_within_bounds() -> None:
    assert sizes(8, 100) == [8, 16, 32, 64] and sizes(1, 2) == [1, 2]
    assert max(sizes(1, 10**9)) == batch_sizes.LARGEST


def test_a_sweep_of_a_real_model_tries_all_that_fits_its_data(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_sizes, "LARGEST", 64)
    monkeypatch.setattr(batch_sizes, "LIMIT_S", 0.0)
    monkeypatch.setattr(clock, "SAMPLE_S", 0.01)  # how exact the rates are isn't the matter here
    result = trained(small)
    before = [parameter.clone() for parameter in result.step.model.parameters()]
    found = batch_sweep(result, small.train, CPU)
    assert [point["batch_size"] for point in found["train"]] == [8, 16, 32, 64]
    assert [point["batch_size"] for point in found["infer"]] == [1, 2, 4, 8, 16, 32, 64]
    assert all(point["img_per_s"] and point["note"] is None for point in found["train"] + found["infer"])
    assert found["train_knee"] in (8, 16, 32, 64)
    for parameter, value in zip(result.step.model.parameters(), before, strict=True):
        assert torch.equal(parameter, value)  # copies are trained


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
)
def test_a_batch_that_runs_out_of_memory_ends_the_sweep_and_says_so(
    small: Dataset, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def rates(result: object, split: object, size: int, device: object) -> list[float]:
        if size > 16:
            raise error
        return [float(size)] * 6

    monkeypatch.setattr(batch_sizes, "_train_rates", rates)
    monkeypatch.setattr(batch_sizes, "_infer_rates", rates)
    found = batch_sweep(trained(small), small.train, CPU)
    assert [point["batch_size"] for point in found["train"]] == [8, 16, 32]
    last = found["train"][-1]
    assert last["img_per_s"] is None and "out of memory" in str(last["note"]) and found["train_knee"] == 16


def test_on_a_cpu_a_batch_that_would_not_fit_is_not_tried(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    class Little:
        available = 2**20  # 1 MiB: there the system would end the process, without an error that could be caught

    monkeypatch.setattr(batch_sizes, "_train_rates", lambda *inputs: [1e6] * 6)
    monkeypatch.setattr(batch_sizes, "_infer_rates", lambda *inputs: [1e6] * 6)
    monkeypatch.setattr(batch_sizes, "memory", lambda device: {"peak_mem_mib": next(growing)})
    monkeypatch.setattr(psutil, "virtual_memory", Little)
    growing = iter(range(0, 10_000, 100))
    (first, second) = batch_sweep(trained(small), small.train, CPU)["train"]
    assert first["img_per_s"] == 1e6 and second["img_per_s"] is None and "not tried" in str(second["note"])


def test_larger_batches_than_a_slow_one_are_not_tried(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_sizes, "_train_rates", lambda result, split, size, device: [3.0] * 6)
    monkeypatch.setattr(batch_sizes, "_infer_rates", lambda result, split, size, device: [1e6] * 6)
    (only,) = batch_sweep(trained(small), small.train, CPU)["train"]
    assert only["img_per_s"] == 3.0 and "a batch takes 2.7 s" in str(only["note"])
