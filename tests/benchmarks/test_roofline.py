"""What the device can do at most: the protocol on a fake clock, and a small measurement of this processor."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.measure import clock
from benchmarks.measure import roofline as module
from benchmarks.measure.clock import MIN_SAMPLES
from benchmarks.measure.roofline import (
    has_precision,
    keep_roofline,
    kept_roofline,
    measured_roofline,
    roofline,
    roofline_path,
)
from benchmarks.records.schema import Details, Roofline
from fmnist_zoo.processor import has_bf16, has_fp16
from tests.benchmarks.sample_records import make_environment, make_roofline

CPU = torch.device("cpu")


def fresh_roofline(*, minutes_ago: float = 0.0, **rates: float | None) -> Roofline:
    """A roofline that was measured just now, or so many minutes ago."""
    return {
        **make_roofline(**rates),
        "measured_at": f"{datetime.now(UTC) - timedelta(minutes=minutes_ago):%Y-%m-%dT%H:%M:%SZ}",
    }


@pytest.mark.processor
def test_this_processor() -> None:
    found = roofline(CPU, gemm_size=64, copy_block_mib=1)
    gemm, samples = found["gemm_tflop_per_s"], found["gemm_samples_tflop_per_s"]
    assert gemm["fp32"] is not None and gemm["fp32"] > 0 and gemm["tf32"] is None
    assert set(gemm) == {"fp32", "tf32", "bf16", "fp16"}
    assert set(samples) == {precision for precision, rate in gemm.items() if rate is not None}
    assert min(samples["fp32"]) <= gemm["fp32"] <= max(samples["fp32"])
    assert found["copy_gb_per_s"] is not None and len(found["copy_samples_gb_per_s"]) >= MIN_SAMPLES
    assert (found["gemm_size"], found["copy_block_mib"]) == (64, 1)


def test_rates_count_two_flops_a_multiplication_and_bytes_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "sample_rates", lambda work, timed, **options: [work() / 0.5])
    found = roofline(CPU, gemm_size=1000, copy_block_mib=10)
    assert found["gemm_tflop_per_s"]["fp32"] == pytest.approx(2 * 1000**3 / 0.5 / 1e12)
    assert found["copy_gb_per_s"] == pytest.approx(2 * 10 * 2**20 / 0.5 / 1e9)


def test_what_the_device_lacks_or_has_no_memory_for_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **keywords: object) -> list[float]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "sample_rates", full)
    found = roofline(CPU, gemm_size=8, copy_block_mib=1)
    assert set(found["gemm_tflop_per_s"].values()) == {None} and found["copy_gb_per_s"] is None
    assert found["gemm_samples_tflop_per_s"] == {} and found["copy_samples_gb_per_s"] == []


@pytest.mark.processor
def test_a_processor_without_the_instructions_is_not_waited_for() -> None:
    own = [name for name, has in (("bf16", has_bf16(CPU)), ("fp16", has_fp16(CPU))) if has]
    assert [name for name in module.DTYPES if has_precision(name, CPU)] == ["fp32", *own]


def test_measuring_leaves_no_trace_in_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "SAMPLE_S", 0.01)  # how exact the rates are isn't the matter here
    state, products = torch.get_rng_state(), torch.get_float32_matmul_precision()
    roofline(CPU, gemm_size=8, copy_block_mib=1)
    assert torch.equal(torch.get_rng_state(), state) and torch.get_float32_matmul_precision() == products


DETAILS: Details = {
    "cores_used": 2, "isa": ["avx2"], "l1d_cache_kib": 32, "l2_cache_kib": 512, "l3_cache_kib": 16384, "num_threads": 2,
    "variables": {"OMP_NUM_THREADS": "2"}, "gpu_power_limit_w": None, "gpu_max_sm_clock_mhz": None,
    "gpu_max_memory_clock_mhz": None,
}  # fmt: skip


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("FMNIST_ZOO_CACHE", str(tmp_path))
    return roofline_path(make_environment())


def test_it_is_measured_once_and_then_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.device] = []

    def measure(device: torch.device) -> Roofline:
        calls.append(device)
        return fresh_roofline()

    monkeypatch.setattr(module, "roofline", measure)
    assert kept_roofline(path) is None
    assert measured_roofline(CPU, path) == measured_roofline(CPU, path) == kept_roofline(path) == fresh_roofline()
    assert calls == [CPU]
    assert measured_roofline(CPU, None) == fresh_roofline() and len(calls) == 2


@pytest.mark.usefixtures("path")
def test_it_belongs_to_a_machine_its_software_and_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_environment()
    detailed = {**here, "details": DETAILS}
    others: list[Any] = [
        make_environment(physical_cores=64),
        make_environment(torch="2.12.0"),
        make_environment(gpu_name="NVIDIA H100"),
        detailed,
        {**here, "details": {**DETAILS, "num_threads": 1}},
        {**here, "details": {**DETAILS, "variables": {"OMP_NUM_THREADS": "2", "KMP_AFFINITY": "compact"}}},
    ]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    paths = [roofline_path(environment) for environment in [here, *others]]
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert len({*paths, roofline_path(here)}) == 8
    # A commit changes neither the machine nor how it is measured.
    assert roofline_path(make_environment(commit="f" * 40, dirty=True)) == roofline_path(here)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"copy_gb_per_s": 3.0}',
     json.dumps(fresh_roofline()).replace("40.5", "NaN"), json.dumps({**fresh_roofline(), "gemm_size": "large"}),
     json.dumps(fresh_roofline())[:-9], "\udc80"],
    ids=["empty", "half", "list", "null", "no fields", "few fields", "not finite", "a word", "cut short", "no UTF-8"],
)  # fmt: skip
def test_a_damaged_file_is_measured_again(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert kept_roofline(path) is None
    keep_roofline(path, fresh_roofline())
    assert kept_roofline(path) == fresh_roofline()


@pytest.mark.parametrize("unknown", ["fp32", "copy_gb_per_s"])
def test_what_failed_for_lack_of_memory_is_not_kept(path: Path, unknown: str) -> None:
    missing: dict[str, Any] = {unknown: None}
    keep_roofline(path, fresh_roofline(**missing))
    assert not path.exists()


def test_a_cache_that_cannot_be_written_costs_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FMNIST_ZOO_CACHE", str(tmp_path / "file"))
    path = roofline_path(make_environment())
    keep_roofline(path, fresh_roofline())
    assert kept_roofline(path) is None


@pytest.mark.parametrize(("minutes_ago", "is_kept"), [(50, True), (70, False), (60 * 24 * 7, False)])
def test_a_roofline_is_kept_for_the_sweeps_of_an_hour(tmp_path: Path, minutes_ago: float, is_kept: bool) -> None:
    path = tmp_path / "roofline.json"
    keep_roofline(path, fresh_roofline(minutes_ago=minutes_ago))
    assert (kept_roofline(path) is not None) == is_kept


def test_a_roofline_of_no_known_time_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "roofline.json"
    for measured_at in (None, "yesterday"):
        keep_roofline(path, {**fresh_roofline(), "measured_at": measured_at})
        assert kept_roofline(path) is None
