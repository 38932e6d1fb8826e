"""The page of a profile from made-up figures: shares, the bound, and what is unknown."""

import dataclasses
from typing import Any

import pytest

from benchmarks.report.bound import Bound
from benchmarks.report.profile.operations import Breakdown, Operation
from benchmarks.report.profile.page import OPERATIONS_SHOWN, ProfiledSteps, kind_table, operation_table, profile_page

STEPS = ProfiledSteps(
    run_id="20261121T210000.123Z-cnn-1a2b3c4d-s0",
    model="cnn",
    where="cpu",
    precision="bf16_weights",
    engine="eager",
    batch_size=256,
    num_steps=200,
    steps_per_epoch=2000,
    num_trace_steps=10,
)
BREAKDOWN = Breakdown(
    span_s=10.0,
    idle_s=2.0,
    operations=[
        Operation("aten::mkldnn_convolution", "convolution", 5.0, 1000),
        Operation("aten::mm", "matrix product", 2.5, 400),
        Operation("a|b", "matrix product", 0.5, 1),
    ],
)
BOUND = Bound(
    flops=4 * 10**9,
    moved_bytes={"weights": 6_000_000, "batch": 2_000_000},
    step_s=0.04,
    gemm_tflop_per_s=0.4,
    copy_gb_per_s=20.0,
)


def cells(text: str, row: str, *, table: int = 0) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {row}")]
    return [cell.strip() for cell in lines[table].strip("|").split("|")][1:]


def test_the_bound_stands_beside_what_the_step_achieves() -> None:
    page = profile_page(STEPS, BREAKDOWN, BOUND)
    assert cells(page, "compute per step") == ["4.00"]
    assert cells(page, "achieved, TFLOP/s") == ["0.1"]
    assert cells(page, "peak of matrix products in bf16, TFLOP/s") == ["0.4"]
    assert cells(page, "MFU") == ["25.0"]
    assert cells(page, "minimum step time at that peak, ms") == ["10.0"]
    assert cells(page, "minimum step time at that bandwidth, ms") == ["0.4"]
    assert cells(page, "arithmetic intensity, FLOP/byte") == ["500"]
    assert cells(page, "roofline bound, TFLOP/s") == ["0.4"]
    assert cells(page, "achieved of roofline bound") == ["25.0"]
    assert "weights 6.00 MB; batch 2.00 MB" in page


def test_a_table_by_kind_adds_up_to_the_span() -> None:
    text = kind_table(STEPS, BREAKDOWN)
    assert cells(text, "convolution") == ["25.000", "50.0", "5.00"]
    assert cells(text, "matrix product") == ["15.000", "30.0", "2.00"]
    assert cells(text, "**outside any operator") == ["10.000", "20.0", "—"]


def test_the_rest_is_one_row() -> None:
    many = [Operation(f"aten::op{number}", "other", 0.1, 200) for number in range(OPERATIONS_SHOWN + 4)]
    text = operation_table(STEPS, dataclasses.replace(BREAKDOWN, operations=many))
    assert cells(text, "4 more") == ["", "2.000", "4.0", "4.00"]
    assert len(text.splitlines()) == 2 + OPERATIONS_SHOWN + 1
    assert "more" not in operation_table(STEPS, BREAKDOWN)


def test_foreign_names_do_not_break_out() -> None:
    page = profile_page(dataclasses.replace(STEPS, model="timm/<b>"), BREAKDOWN, BOUND)
    assert "<b>" not in page and "a&#124;b" in page


def test_how_much_was_profiled_is_said() -> None:
    assert "200 of an epoch's 2,000 steps, excluding its shuffle" in profile_page(STEPS, BREAKDOWN, BOUND)
    whole = dataclasses.replace(STEPS, num_steps=214, steps_per_epoch=214)
    assert "one epoch of 214 steps" in profile_page(whole, BREAKDOWN, BOUND)


def test_the_gap_on_a_gpu_is_between_kernels() -> None:
    page = profile_page(dataclasses.replace(STEPS, where="cuda"), BREAKDOWN, BOUND)
    assert cells(page, "**launch gap: no kernel runs**") == ["10.000", "20.0", "—"]
    assert "GPU time, ms/step" in page and "outside any operator" not in page


@pytest.mark.parametrize("unknown", ["step_s", "gemm_tflop_per_s", "copy_gb_per_s"])
def test_what_is_unknown_is_a_dash(unknown: str) -> None:
    changes: dict[str, Any] = {unknown: None}
    bound = dataclasses.replace(BOUND, **changes)
    page = profile_page(STEPS, BREAKDOWN, bound)
    assert "None" not in page and "—" in page
    assert (cells(page, "MFU") == ["—"]) == (unknown in ("step_s", "gemm_tflop_per_s"))
