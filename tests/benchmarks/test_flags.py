"""Which evidence makes which flag, at both sides of every limit."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure.flags import THROTTLED, validity_flags
from benchmarks.records.schema import BatchSweep, Flag, Load, Throughput

QUIET: Load = {
    "seconds": 10.0, "own_cpu": 0.95, "other_cpu": 0.01, "stolen_cpu": 0.0, "gpu_busy": 0.97,
    "gpu_other_processes": 0, "gpu_throttle_reasons": ["applications_clocks_setting", "gpu_idle", "sw_power_cap"],
    "gpu_sm_clock_mhz": 1755.0,
}  # fmt: skip
ON_A_PROCESSOR: Load = {
    **QUIET, "gpu_busy": None, "gpu_other_processes": None, "gpu_throttle_reasons": None, "gpu_sm_clock_mhz": None,
}  # fmt: skip


def throughput(train: list[float], infer: list[float] | None = None, *, batch_size: int | None = 256) -> Throughput:
    return {
        "train_img_per_s": None, "infer_img_per_s": None, "train_batch_size": batch_size, "infer_batch_size": 1024,
        "train_samples_img_per_s": train, "infer_samples_img_per_s": [1e5] * 10 if infer is None else infer,
    }  # fmt: skip


def batch_sweep(rates: dict[int, float | None]) -> BatchSweep:
    points: Any = [
        {"batch_size": size, "img_per_s": rate, "samples_img_per_s": [], "note": None} for size, rate in rates.items()
    ]
    return {"train": points, "infer": [], "train_knee": None, "infer_knee": None}


def only(flags: list[Flag], kind: str) -> str:
    """The evidence of the one flag there is."""
    assert [flag["kind"] for flag in flags] == [kind]
    return flags[0]["evidence"]


def test_a_quiet_run_has_no_flag() -> None:
    samples = throughput([1000.0, 1004.0, 1001.0, 998.0, 1002.0, 999.0, 1003.0])
    rates = batch_sweep({128: 900.0, 256: 1000.0, 512: 1050.0})
    for part in (QUIET, ON_A_PROCESSOR):
        assert validity_flags(throughput=samples, batch_size=256, load={"train": part}, batch_sweep=rates) == []


def test_what_was_not_measured_gives_no_flag() -> None:
    unknown: Any = {**dict.fromkeys(QUIET), "seconds": 10.0}
    assert validity_flags() == []
    assert validity_flags(throughput=throughput([], [], batch_size=None), batch_size=256) == []
    assert validity_flags(load={"train": unknown}, batch_size=256, batch_sweep=batch_sweep({128: None, 256: 9.0})) == []
    assert validity_flags(load={}, batch_size=None, batch_sweep=batch_sweep({128: 9.0, 256: 9.0})) == []


def test_few_samples_are_flagged() -> None:
    evidence = only(validity_flags(throughput=throughput([1000.0] * 5)), "few_samples")
    assert "training has 5 samples" in evidence and "inference" not in evidence


@pytest.mark.parametrize(("half_width", "flagged"), [(0.019, False), (0.021, True)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_interval_wider_than_two_percent_is_flagged(half_width: float, sign: int, flagged: bool) -> None:
    # Of 6 samples the least and the largest bound the median.
    samples = [1000 * (1 + sign * half_width), *[1000.0] * 5]
    flags = validity_flags(throughput=throughput([1000.0] * 6, samples))
    assert bool(flags) == flagged
    if flagged:
        assert "inference has 6 samples, and an interval of up to 2.1% around the median" in only(flags, "few_samples")


@pytest.mark.parametrize(("factor", "shown"), [(1.04, None), (1.06, "+6.0%"), (0.96, None), (0.94, "-6.0%")])
def test_a_drift_is_flagged_in_either_direction(factor: float, shown: str | None) -> None:
    samples = [1000.0] * 10 + [1000.0 * (1 + factor) / 2] * 10 + [1000.0 * factor] * 10
    evidence = [flag["evidence"] for flag in validity_flags(throughput=throughput(samples)) if flag["kind"] == "drift"]
    assert bool(evidence) == (shown is not None)
    assert shown is None or f"training by {shown} over 30 samples" in evidence[0]


def test_one_outlier_is_no_drift() -> None:
    for samples in ([500.0, *[1000.0] * 9], [1000.0] * 4 + [2000.0]):
        assert "drift" not in {flag["kind"] for flag in validity_flags(throughput=throughput(samples))}


@given(st.floats(1e-3, 1e9), st.lists(st.floats(0.981, 1.019), max_size=40))
def test_samples_without_drift_are_not_flagged(level: float, wobble: list[float]) -> None:
    flags = validity_flags(throughput=throughput([level * share for share in wobble]))
    assert "drift" not in {flag["kind"] for flag in flags}


@given(st.lists(st.floats(1e-3, 1e9), max_size=40), st.lists(st.floats(1e-3, 1e9), max_size=40))
def test_flags_of_any_samples_fit_a_record(train: list[float], infer: list[float]) -> None:
    flags = validity_flags(throughput=throughput(train, infer), batch_size=256)
    msgspec.convert(flags, list[Flag])
    assert len({flag["kind"] for flag in flags}) == len(flags)
    # The interval of a median doesn't depend on the order of the samples.
    kinds = {flag["kind"] for flag in validity_flags(throughput=throughput(train[::-1], infer[::-1]))}
    assert ("few_samples" in kinds) == ("few_samples" in {flag["kind"] for flag in flags})


def test_another_batch_than_the_recipes_is_flagged() -> None:
    evidence = only(validity_flags(throughput=throughput([9.0] * 6, batch_size=128), batch_size=256), "batch_changed")
    assert "128" in evidence and "256" in evidence
    assert validity_flags(throughput=throughput([9.0] * 6, batch_size=128), batch_size=None) == []


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"other_cpu": 0.06}, "other processes 6.0% during train"),
        ({"stolen_cpu": 0.3}, "the hypervisor 30.0% during train"),
        ({"other_cpu": 0.5, "stolen_cpu": 0.1}, "other processes 50.0% and the hypervisor 10.0% during train"),
        ({"other_cpu": 0.05, "stolen_cpu": 0.05}, None),
        ({"other_cpu": 0.5, "seconds": 0.5}, None),
    ],
)
def test_a_processor_that_others_used_is_flagged(changes: dict[str, Any], shown: str | None) -> None:
    load: Any = {"train": {**ON_A_PROCESSOR, **changes}, "inference": ON_A_PROCESSOR}
    flags = validity_flags(load=load)
    if shown is None:
        assert flags == []
    else:
        assert only(flags, "shared_cpu").endswith(f": {shown}.")


@pytest.mark.parametrize("reason", sorted(THROTTLED))
def test_a_gpu_that_slowed_down_is_flagged(reason: str) -> None:
    load: Load = {**QUIET, "gpu_throttle_reasons": ["gpu_idle", reason]}
    evidence = only(validity_flags(load={"train": load}), "gpu_throttled")
    assert evidence == f"The GPU throttled its clocks: {reason} during train, at a median of 1755 MHz."


@pytest.mark.parametrize(("others", "shown"), [(1, "1 other process during"), (3, "3 other processes during")])
def test_a_gpu_with_others_on_it_is_flagged(others: int, shown: str) -> None:
    load: Load = {**QUIET, "gpu_other_processes": others}
    assert shown in only(validity_flags(load={"train": load}), "gpu_shared")


def test_a_gpu_that_waits_is_flagged() -> None:
    assert validity_flags(load={"train": {**QUIET, "gpu_busy": 0.81}}) == []
    assert "a kernel ran in 42%" in only(validity_flags(load={"train": {**QUIET, "gpu_busy": 0.42}}), "launch_bound")


@pytest.mark.parametrize(
    ("rates", "batch_size", "shown"),
    [
        ({64: 500.0, 128: 1000.0}, 128, "128 images takes 1.00 times as long as one of 64"),
        ({64: 595.0, 128: 1000.0}, 128, "takes 1.19 times"),
        ({64: 605.0, 128: 1000.0}, 128, None),
        ({64: 500.0, 128: 1000.0, 256: 1100.0}, 256, None),  # the run's own batch counts
        ({64: 500.0, 128: 1000.0}, 100, None),
        ({64: 500.0, 128: 1000.0}, 129, None),
        ({64: 500.0, 128: 1000.0}, 64, None),
    ],
)
def test_a_step_that_hardly_grows_with_the_batch_is_flagged(
    rates: dict[int, float | None], batch_size: int, shown: str | None
) -> None:
    flags = validity_flags(batch_size=batch_size, batch_sweep=batch_sweep(rates))
    if shown is None:
        assert flags == []
    else:
        assert shown in only(flags, "launch_bound")


def test_every_flag_has_figures_and_one_sentence_of_advice() -> None:
    bad: Load = {
        **QUIET, "other_cpu": 0.4, "gpu_busy": 0.2, "gpu_other_processes": 2, "gpu_throttle_reasons": ["hw_slowdown"],
    }  # fmt: skip
    flags = validity_flags(
        throughput=throughput([1000.0] * 4 + [2000.0] * 4, batch_size=128), batch_size=256, load={"train": bad}
    )
    kinds = ["few_samples", "drift", "batch_changed", "shared_cpu", "gpu_throttled", "gpu_shared", "launch_bound"]
    assert [flag["kind"] for flag in flags] == kinds
    for flag in flags:
        assert re.search(r"\d", flag["evidence"]) and flag["evidence"].endswith(".")
        assert flag["advice"] is not None and re.fullmatch(r"[A-Z][^.]*\.", flag["advice"])
