"""From events to where the time went: intervals, nesting, what launched a kernel, and kinds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report.profile.operations import KINDS, break_down, by_kind, covered, kind_of, self_times

TICKS = st.integers(0, 60)
INTERVALS = st.lists(st.tuples(TICKS, TICKS).map(sorted).map(tuple), max_size=12)


def event(name: str, ts: float, dur: float, cat: str = "cpu_op", *, tid: int = 1, link: int | None = None) -> Any:
    arguments: dict[str, Any] = {} if link is None else {"External id": link}
    return {"ph": "X", "cat": cat, "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur, "args": arguments}


def span(ts: float, dur: float) -> Any:
    return event("steps", ts, dur, "user_annotation")


@given(INTERVALS, TICKS, TICKS)
def test_what_is_covered_is_what_counting_ticks_gives(intervals: list[tuple[int, int]], one: int, other: int) -> None:
    start, end = sorted((one, other))
    ticks = [tick for tick in range(start, end) if any(begin <= tick < stop for begin, stop in intervals)]
    assert covered(intervals, start, end) == len(ticks)


@given(INTERVALS.filter(lambda intervals: any(0 <= begin < stop for begin, stop in intervals)))
def test_gap_and_kernels_make_up_the_span(intervals: list[tuple[int, int]]) -> None:
    kernels = [event("k", begin, stop - begin, "kernel", tid=number) for number, (begin, stop) in enumerate(intervals)]
    found = break_down([span(0, 61), *kernels], "steps", on_gpu=True)
    assert found.span_s == pytest.approx(61e-6)
    assert 0 <= found.idle_share < 1
    assert found.span_s - found.idle_s == pytest.approx(covered(intervals, 0, 61) / 1e6)


@given(st.recursive(st.just([]), lambda inner: st.lists(inner, max_size=3), max_leaves=12))
def test_self_times_add_up_to_the_outermost_event(tree: list[Any]) -> None:
    """Nested lists as nested events, each a tick longer than what it holds, at both ends."""
    events: list[Any] = []

    def build(node: list[Any], start: int) -> int:
        end = start + 1
        for child in node:
            end = build(child, end)
        events.append(event(f"op{start}", start, end + 1 - start))
        return end + 1

    end = build(tree, 0)
    times = dict(self_times(events))
    assert sum(times.values()) == end
    assert all(time >= 2 for time in times.values())


def test_threads_nest_for_themselves() -> None:
    events = [event("a", 0, 10, tid=1), event("b", 2, 3, tid=2), event("c", 4, 2, tid=1)]
    assert sorted(self_times(events)) == [("a", 8), ("b", 3), ("c", 2)]


def test_operators_and_the_gap_between_them() -> None:
    events = [
        span(100, 100),
        event("aten::linear", 110, 40),
        event("aten::addmm", 120, 20),
        event("aten::relu", 160, 10),
        event("aten::relu", 180, 10),
        event("aten::mm", 50, 20),  # before the span
        event("Optimizer.step", 100, 90, "user_annotation"),  # Python, not an operator
        {"ph": "M", "name": "process_name", "ts": 100},
    ]
    found = break_down(events, "steps", on_gpu=False)
    assert [(operation.name, operation.self_s * 1e6, operation.calls) for operation in found.operations] == [
        ("aten::addmm", pytest.approx(20), 1),
        ("aten::linear", pytest.approx(20), 1),
        ("aten::relu", pytest.approx(20), 2),
    ]
    assert found.idle_share == pytest.approx(0.4)
    assert by_kind(found.operations) == [
        ("matrix product", pytest.approx(40e-6), 2),
        ("activation, pointwise", pytest.approx(20e-6), 2),
    ]


def test_a_kernel_counts_for_the_operator_that_launched_it_or_for_itself() -> None:
    events = [
        span(0, 100),
        event("aten::addmm", 1, 2, link=7),
        event("## Call CompiledFxGraph f00 ##", 3, 2, link=8),
        event("sm90_xmma_gemm", 10, 30, "kernel", tid=9, link=7),
        event("triton_poi_fused_relu_0", 30, 20, "kernel", tid=10, link=8),
        event("Memcpy HtoD", 90, 20, "gpu_memcpy", tid=9),
    ]
    found = break_down(events, "steps", on_gpu=True)
    assert {operation.name: operation.kind for operation in found.operations} == {
        "aten::addmm": "matrix product",
        "triton_poi_fused_relu_0": "fused by the compiler",
        "Memcpy HtoD": "data, gather, copy",
    }
    assert found.idle_share == pytest.approx(0.5)  # 10 to 50 and 90 to 100, where the span ends


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([event("aten::mm", 0, 1)], "0 spans named 'steps'"),
        ([span(0, 9), span(20, 9)], "2 spans"),
        ([span(0, 9), event("aten::mm", 1, 1)], "no kernel on the GPU"),
    ],
)
def test_a_trace_without_what_was_asked_for_is_refused(events: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        break_down(events, "steps", on_gpu=True)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::convolution_backward", "convolution"),
        ("aten::mkldnn_convolution", "convolution"),
        ("aten::mm", "matrix product"),
        ("aten::bmm", "matrix product"),
        ("aten::addmm", "matrix product"),
        ("mkldnn::_linear_pointwise", "matrix product"),
        ("aten::native_batch_norm_backward", "normalisation"),
        ("aten::native_layer_norm", "normalisation"),
        ("aten::max_pool2d_with_indices_backward", "pooling"),
        ("aten::_fused_adamw_", "optimizer"),
        ("aten::_foreach_add_", "optimizer"),
        ("aten::_foreach_norm", "optimizer"),
        ("aten::_foreach_copy_", "data, gather, copy"),
        ("aten::mkldnn_rnn_layer_backward", "recurrent"),
        ("aten::_cudnn_rnn", "recurrent"),
        ("aten::_scaled_dot_product_flash_attention", "attention"),
        ("aten::clamp_min_", "activation, pointwise"),
        ("aten::gelu_backward", "activation, pointwise"),
        ("aten::_log_softmax_backward_data", "activation, pointwise"),
        ("aten::add_", "activation, pointwise"),
        ("aten::index", "data, gather, copy"),
        ("aten::_to_copy", "data, gather, copy"),
        ("aten::resolve_conj", "data, gather, copy"),
        ("Memset (Device)", "data, gather, copy"),
        ("autograd::engine::evaluate_function: AddmmBackward0", "other"),
        ("ConvolutionBackward0", "other"),
        ("CompiledFunctionBackward", "fused by the compiler"),
        ("## Call CompiledFxGraph f00 ##", "fused by the compiler"),
        ("something::unheard_of", "other"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind and kind in KINDS
