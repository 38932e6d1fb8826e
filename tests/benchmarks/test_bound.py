"""The roofline model: its arithmetic by hand, its properties, and that what is unknown stays so."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.records.record import RunRecord
from benchmarks.report.bound import Bound, gemm_peak, infer_mfu_pct, infer_tflop_per_s, training_bound
from tests.benchmarks.sample_records import make_cost, make_record, make_roofline

BOUND = Bound(
    flops=4e9, moved_bytes={"weights": 6_000_000, "batch": 2_000_000}, step_s=0.04, gemm_tflop_per_s=0.4,
    copy_gb_per_s=20.0,
)  # fmt: skip
COMPUTED = (
    "achieved_tflop_per_s", "mfu_pct", "total_bytes", "flop_per_byte", "bound_tflop_per_s", "bound_pct", "least_gemm_s",
    "least_copy_s",
)  # fmt: skip


def computed(bound: Bound) -> dict[str, Any]:
    return {name: getattr(bound, name) for name in COMPUTED}


def test_a_step_that_products_bound() -> None:
    assert computed(BOUND) == pytest.approx(
        {"achieved_tflop_per_s": 0.1, "mfu_pct": 25.0, "total_bytes": 8e6, "flop_per_byte": 500.0,
         "bound_tflop_per_s": 0.4, "bound_pct": 25.0, "least_gemm_s": 0.01, "least_copy_s": 0.0004}
    )  # fmt: skip


def test_a_step_that_copying_bounds() -> None:
    bound = dataclasses.replace(BOUND, moved_bytes={"weights": 400_000_000})
    assert (bound.flop_per_byte, bound.bound_tflop_per_s, bound.bound_pct) == pytest.approx((10.0, 0.2, 50.0))
    assert bound.mfu_pct == pytest.approx(25.0)


NEEDS = {
    "flops": {"achieved_tflop_per_s", "mfu_pct", "flop_per_byte", "bound_tflop_per_s", "bound_pct", "least_gemm_s"},
    "moved_bytes": {"total_bytes", "flop_per_byte", "bound_tflop_per_s", "bound_pct", "least_copy_s"},
    "step_s": {"achieved_tflop_per_s", "mfu_pct", "bound_pct"},
    "gemm_tflop_per_s": {"mfu_pct", "bound_tflop_per_s", "bound_pct", "least_gemm_s"},
    "copy_gb_per_s": {"bound_tflop_per_s", "bound_pct", "least_copy_s"},
}


@pytest.mark.parametrize("unknown", NEEDS)
def test_what_follows_from_something_unknown_is_unknown_and_nothing_else(unknown: str) -> None:
    changes: dict[str, Any] = {unknown: None}
    values = computed(dataclasses.replace(BOUND, **changes))
    assert {name for name, value in values.items() if value is None} == NEEDS[unknown]


POSITIVE = st.floats(1e-6, 1e15)


@given(flops=POSITIVE, size=st.integers(1, 10**15), step_s=POSITIVE, gemm=POSITIVE, copying=POSITIVE)
def test_no_bound_is_above_a_roof_and_it_is_the_lesser_share(
    flops: float, size: int, step_s: float, gemm: float, copying: float
) -> None:
    bound = Bound(flops=flops, moved_bytes={"all": size}, step_s=step_s, gemm_tflop_per_s=gemm, copy_gb_per_s=copying)
    assert bound.bound_tflop_per_s is not None and bound.bound_tflop_per_s <= gemm
    assert bound.bound_pct is not None and bound.mfu_pct is not None and bound.bound_pct >= bound.mfu_pct * (1 - 1e-9)
    # The bound says the same as the least times: it is reached by a step that takes the longer one of them.
    assert bound.least_gemm_s is not None and bound.least_copy_s is not None
    longer = max(bound.least_gemm_s, bound.least_copy_s)
    assert flops / 1e12 / bound.bound_tflop_per_s == pytest.approx(longer)


def test_of_a_record() -> None:
    bound = training_bound(make_record())  # bf16, 41,234.5 img/s, batches of 256, 1.5 MFLOP an image, 48 MB a step
    assert bound.achieved_tflop_per_s == pytest.approx(41234.5 * 1.5e6 / 1e12)
    assert bound.mfu_pct == pytest.approx(100 * 41234.5 * 1.5e6 / 0.42e12)
    assert bound.flop_per_byte == pytest.approx(256 * 1.5e6 / 48e6)
    assert bound.bound_tflop_per_s == pytest.approx(8 * 40.5e9 / 1e12)
    assert infer_tflop_per_s(make_cost(), make_record().throughput) == pytest.approx(151234.5 * 0.5e6 / 1e12)
    assert infer_mfu_pct(make_record()) == pytest.approx(100 * 151234.5 * 0.5e6 / 0.42e12)


@pytest.mark.parametrize("part", ["cost", "throughput", "roofline", "execution"])
def test_of_a_record_without_a_part(part: str) -> None:
    nothing: dict[str, Any] = {part: None}
    record = make_record(**nothing)
    assert training_bound(record).bound_pct is None and infer_mfu_pct(record) is None


def test_of_a_record_that_was_not_timed() -> None:
    def edit(record: RunRecord) -> None:
        assert record.throughput is not None
        record.throughput["train_img_per_s"] = record.throughput["infer_img_per_s"] = None

    record = make_record(edit=edit)
    assert training_bound(record).achieved_tflop_per_s is None
    assert infer_tflop_per_s(record.cost, record.throughput) is None


@pytest.mark.parametrize(
    ("precision", "peak"),
    [
        ("fp32", 0.21),
        ("bf16", 0.42),
        ("bf16_weights", 0.42),
        ("tf32", None),
        ("fp16", None),
        ("fp8", None),
        (None, None),
    ],
)
def test_the_peak_is_that_of_the_precision(precision: str | None, peak: float | None) -> None:
    assert gemm_peak(make_roofline(), precision) == peak
    assert gemm_peak(None, precision) is None
