"""The profile page: time breakdown and roofline bound of a training step."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.report.bound import GEMM_OF, Bound, scaled
from benchmarks.report.profile.operations import Breakdown, by_kind
from benchmarks.report.text import MISSING, escape, number, shorten, significant, table

OPERATIONS_SHOWN = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfiledSteps:
    """The profiled steps.

    Attributes:
        run_id: run after which the profile was made.
        model: name of the model.
        where: device type, `cpu` or `cuda`.
        precision: of the passes.
        engine: of the passes.
        batch_size: images per step.
        num_steps: steps in the breakdown.
        steps_per_epoch: steps in an epoch.
        num_trace_steps: steps in the trace file.
    """

    run_id: str
    model: str
    where: str
    precision: str
    engine: str
    batch_size: int
    num_steps: int
    steps_per_epoch: int
    num_trace_steps: int


def profile_page(steps: ProfiledSteps, breakdown: Breakdown, bound: Bound) -> str:
    """The page as Markdown."""
    blocks = [
        f"# Profile of a training step: {escape(steps.model)}",
        _about(steps, breakdown, bound),
        "## Roofline bound",
        bound_table(steps, bound),
        _counted(bound),
        "## By kind of operation",
        kind_table(steps, breakdown),
        _gap_text(steps),
        "## By operation",
        operation_table(steps, breakdown),
    ]
    return "\n\n".join(blocks) + "\n"


def bound_table(steps: ProfiledSteps, bound: Bound) -> str:
    """FLOPs and bytes of a step, the minimum time that each implies, and the measured time."""
    gemm = f"peak of matrix products in {escape(GEMM_OF[steps.precision])}"
    rows = [
        ["compute per step, GFLOP", significant(scaled(bound.flops, 1e-9))],
        ["step time without profiler, ms", significant(_ms(bound.step_s))],
        ["achieved, TFLOP/s", significant(bound.achieved_tflop_per_s)],
        [f"{gemm}, TFLOP/s", significant(bound.gemm_tflop_per_s)],
        ["MFU (achieved / peak), %", significant(bound.mfu_pct)],
        ["minimum step time at that peak, ms", significant(_ms(bound.least_gemm_s))],
        ["minimum traffic per step, MB", significant(scaled(bound.total_bytes, 1e-6))],
        ["copy bandwidth, GB/s (read + written)", significant(bound.copy_gb_per_s)],
        ["minimum step time at that bandwidth, ms", significant(_ms(bound.least_copy_s))],
        ["arithmetic intensity, FLOP/byte", significant(bound.flop_per_byte)],
        ["roofline bound, TFLOP/s", significant(bound.bound_tflop_per_s)],
        ["achieved of roofline bound, %", significant(bound.bound_pct)],
    ]
    return table(["", "value"], rows)


def kind_table(steps: ProfiledSteps, breakdown: Breakdown) -> str:
    """Self time, share of the span and calls by kind of operation, with a row for idle time."""
    rows = [
        [escape(kind), *_amounts(steps, breakdown, seconds, calls)]
        for kind, seconds, calls in by_kind(breakdown.operations)
    ]
    gap = _amounts(steps, breakdown, breakdown.idle_s, 0)[:2]
    return table(["kind", *_headers(steps)], [*rows, [f"**{_gap_name(steps)}**", *gap, MISSING]])


def operation_table(steps: ProfiledSteps, breakdown: Breakdown) -> str:
    """The same by operation: the longest ones, and the sum of the others."""
    shown, rest = breakdown.operations[:OPERATIONS_SHOWN], breakdown.operations[OPERATIONS_SHOWN:]
    rows = [
        [
            escape(shorten(operation.name, 100)),
            escape(operation.kind),
            *_amounts(steps, breakdown, operation.self_s, operation.calls),
        ]
        for operation in shown
    ]
    if rest:
        seconds, calls = sum(operation.self_s for operation in rest), sum(operation.calls for operation in rest)
        rows.append([f"{len(rest)} more", "", *_amounts(steps, breakdown, seconds, calls)])
    return table(["operation", "kind", *_headers(steps)], rows, words=("kind",))


def _about(steps: ProfiledSteps, breakdown: Breakdown, bound: Bound) -> str:
    extent = (
        f"one epoch of {steps.num_steps:,} steps, including its shuffle"
        if steps.num_steps == steps.steps_per_epoch
        else f"{steps.num_steps:,} of an epoch's {steps.steps_per_epoch:,} steps, excluding its shuffle"
    )
    slower = (
        f" A step took {significant(_ms(breakdown.span_s / steps.num_steps))} ms with the profiler and "
        f"{significant(_ms(bound.step_s))} ms without: frequently called operations are overestimated."
    )
    return (
        f"Profiled after training, testing and measuring [the run](../runs/{steps.run_id}.json): {extent}; "
        f"{escape(steps.where)}, {escape(steps.precision)}, {escape(steps.engine)}, batches of {steps.batch_size:,}."
        f"{slower} [A trace of {steps.num_trace_steps} steps]({steps.run_id}.trace.json.gz) opens in "
        "[Perfetto](https://ui.perfetto.dev) and in Chrome (chrome://tracing)."
    )


def _counted(bound: Bound) -> str:
    """What the bound counts and what it omits."""
    moved = (bound.moved_bytes or {}).items()
    parts = "; ".join(f"{escape(what)} {significant(size / 1e6)} MB" for what, size in moved)
    return (
        "FLOPs of matrix products, convolutions, recurrent layers and attention, forward and backward (1 "
        "multiply-accumulate = 2); element-wise operations are not counted. "
        f"Bytes: {parts or MISSING}. Activation gradients and weight casts within the passes are not counted; tensors "
        "that stay in a cache may move less."
    )


def _gap_name(steps: ProfiledSteps) -> str:
    return "launch gap: no kernel runs" if steps.where == "cuda" else "outside any operator: Python and framework"


def _gap_text(steps: ProfiledSteps) -> str:
    if steps.where == "cuda":
        return (
            "Times of kernels, copies and fills on the GPU, by the operator that launched them. The launch gap is the "
            "share of the span in which none of them runs (from the union of their intervals); concurrent kernels all "
            "count, so shares may add up to more than 100%."
        )
    return (
        "Self times of operators, without the operators that they call. The rest of the span is outside any operator: "
        "Python, and the framework between operators. The autograd engine is in `other`."
    )


def _headers(steps: ProfiledSteps) -> list[str]:
    return ["GPU time, ms/step" if steps.where == "cuda" else "self time, ms/step", "share, %", "calls/step"]


def _amounts(steps: ProfiledSteps, breakdown: Breakdown, seconds: float, calls: int) -> list[str]:
    each_ms, share = 1e3 * seconds / steps.num_steps, 100 * seconds / breakdown.span_s
    return [f"{each_ms:.3f}", number(share, 1), significant(calls / steps.num_steps)]


def _ms(seconds: float | None) -> float | None:
    return scaled(seconds, 1e3)
