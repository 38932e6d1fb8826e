"""The page of a profile: where the time of a training step goes, and the bound that the device sets to it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.report.bound import GEMM_OF, Bound, scaled
from benchmarks.report.profile.operations import Breakdown, by_kind
from benchmarks.report.text import MISSING, escape, number, shorten, significant, table

OPERATIONS_SHOWN = 25


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfiledSteps:
    """What was profiled.

    Attributes:
        run_id: of the run after which it was.
        model: its name.
        where: device type, `cpu` or `cuda`.
        precision: of the passes.
        engine: that ran them.
        batch_size: images a step.
        num_steps: how many steps the breakdown is of.
        steps_per_epoch: how many an epoch has.
        num_trace_steps: how many the trace beside the page holds.
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
    """The page as markdown."""
    blocks = [
        f"# Where a training step of {escape(steps.model)} spends its time",
        _about(steps, breakdown, bound),
        "## Against what the device can do",
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
    """FLOPs, bytes, and the least time that each allows, beside the time that a step takes."""
    gemm = f"matrix products of this device in {escape(GEMM_OF[steps.precision])}"
    rows = [
        ["computed in a step, GFLOP", significant(scaled(bound.flops, 1e-9))],
        ["a step without the profiler, ms", significant(_ms(bound.step_s))],
        ["achieved, TFLOP/s", significant(bound.achieved_tflop_per_s)],
        [f"{gemm}, TFLOP/s", significant(bound.gemm_tflop_per_s)],
        ["achieved of that, %", significant(bound.mfu_pct)],
        ["least possible time by that rate, ms", significant(_ms(bound.least_gemm_s))],
        ["moved in a step at least, MB", significant(scaled(bound.total_bytes, 1e-6))],
        ["copying of this device, GB/s (read + written)", significant(bound.copy_gb_per_s)],
        ["least possible time by that rate, ms", significant(_ms(bound.least_copy_s))],
        ["arithmetic intensity, FLOP/byte", significant(bound.flop_per_byte)],
        ["the most that both rates allow, TFLOP/s", significant(bound.bound_tflop_per_s)],
        ["achieved of that, %", significant(bound.bound_pct)],
    ]
    return table(["", "value"], rows)


def kind_table(steps: ProfiledSteps, breakdown: Breakdown) -> str:
    """Self time, its share of the span and calls by kind of operation, with the gap as a row of its own."""
    rows = [
        [escape(kind), *_amounts(steps, breakdown, seconds, calls)]
        for kind, seconds, calls in by_kind(breakdown.operations)
    ]
    gap = _amounts(steps, breakdown, breakdown.idle_s, 0)[:2]
    return table(["kind", *_headers(steps)], [*rows, [f"**{_gap_name(steps)}**", *gap, MISSING]])


def operation_table(steps: ProfiledSteps, breakdown: Breakdown) -> str:
    """The same by operation: the longest ones, and all others together."""
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
        f"one epoch of {steps.num_steps:,} steps, the drawing of its order included"
        if steps.num_steps == steps.steps_per_epoch
        else f"{steps.num_steps:,} of an epoch's {steps.steps_per_epoch:,} steps, the drawing of its order left out"
    )
    slower = (
        f" Under the profiler a step took {significant(_ms(breakdown.span_s / steps.num_steps))} ms, without it "
        f"{significant(_ms(bound.step_s))} ms: what is called often looks dearer than it is."
    )
    return (
        f"Profiled after [the run](../runs/{steps.run_id}.json) was trained, tested and measured: {extent}; "
        f"{escape(steps.where)}, {escape(steps.precision)}, {escape(steps.engine)}, batches of {steps.batch_size:,}."
        f"{slower} [A trace of {steps.num_trace_steps} steps]({steps.run_id}.trace.json.gz) opens in "
        "[Perfetto](https://ui.perfetto.dev) and in Chrome (chrome://tracing)."
    )


def _counted(bound: Bound) -> str:
    """What the bound counts, so that nobody takes it for more than it is."""
    moved = (bound.moved_bytes or {}).items()
    parts = "; ".join(f"{escape(what)} {significant(size / 1e6)} MB" for what, size in moved)
    return (
        "GFLOP are those of matrix products, convolutions, recurrent layers and attention, forward and backward (1 "
        "multiply-accumulate = 2); element-wise work isn't counted. "
        f"Bytes: {parts or MISSING}. Gradients of activations, and casts of weights within the passes, are not "
        "counted, and what stays in a cache need not be moved at all: this is the least for tensors that do not."
    )


def _gap_name(steps: ProfiledSteps) -> str:
    return "launch gap: no kernel runs" if steps.where == "cuda" else "outside any operator: Python and framework"


def _gap_text(steps: ProfiledSteps) -> str:
    if steps.where == "cuda":
        return (
            "Times are those of kernels, copies and fills on the GPU, under the operator that launched them. The "
            "launch gap is the share of the span in which none of them runs, from the union of their intervals; "
            "kernels that run at once count each, so that shares may add up to more than 100%."
        )
    return (
        "Times are those inside an operator and outside the operators that it calls. The rest of the span is in no "
        "operator: the Python of the step, and the framework between operators. The engine of autograd is in `other`."
    )


def _headers(steps: ProfiledSteps) -> list[str]:
    return ["GPU time, ms a step" if steps.where == "cuda" else "self time, ms a step", "share, %", "calls a step"]


def _amounts(steps: ProfiledSteps, breakdown: Breakdown, seconds: float, calls: int) -> list[str]:
    each_ms, share = 1e3 * seconds / steps.num_steps, 100 * seconds / breakdown.span_s
    return [f"{each_ms:.3f}", number(share, 1), significant(calls / steps.num_steps)]


def _ms(seconds: float | None) -> float | None:
    return scaled(seconds, 1e3)
