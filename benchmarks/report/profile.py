"""The page of a profile: where the time of a training step goes, and the bound that the device sets to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.report.operations import Breakdown, by_kind
from benchmarks.report.text import MISSING, escape, number, shorten, significant, table

OPERATIONS_SHOWN = 25
GEMM_OF = {"fp32": "fp32", "tf32": "tf32", "bf16": "bf16", "bf16_weights": "bf16", "fp16": "fp16"}
"""The measured matrix product that bounds each precision of training."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """What a step computes and must move, and what the device was measured to do; None where unknown.

    Attributes:
        flops: of one step, forward and backward.
        moved_bytes: of one step, by what is moved.
        step_s: of one step in the steady state, without the profiler.
        gemm_tflop_per_s: of the device, in the precision of the passes.
        copy_gb_per_s: of the device, bytes read plus bytes written.
    """

    flops: int
    moved_bytes: Mapping[str, int]
    step_s: float | None
    gemm_tflop_per_s: float | None
    copy_gb_per_s: float | None

    @property
    def achieved_tflop_per_s(self) -> float | None:
        """What the step does, as it runs without the profiler."""
        return None if self.step_s is None else self.flops / self.step_s / 1e12

    @property
    def least_gemm_s(self) -> float | None:
        """Were all its FLOPs done as fast as the device multiplies matrices."""
        return None if self.gemm_tflop_per_s is None else self.flops / (self.gemm_tflop_per_s * 1e12)

    @property
    def least_copy_s(self) -> float | None:
        """Were all its bytes moved as fast as the device copies."""
        return None if self.copy_gb_per_s is None else sum(self.moved_bytes.values()) / (self.copy_gb_per_s * 1e9)


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
    megabytes = sum(bound.moved_bytes.values()) / 1e6
    rows = [
        ["computed in a step, GFLOP", significant(bound.flops / 1e9)],
        ["a step without the profiler, ms", significant(_ms(bound.step_s))],
        ["achieved, TFLOP/s", significant(bound.achieved_tflop_per_s)],
        [f"{gemm}, TFLOP/s", significant(bound.gemm_tflop_per_s)],
        ["achieved of that, %", significant(_share_pct(bound.least_gemm_s, bound.step_s))],
        ["least possible time by that rate, ms", significant(_ms(bound.least_gemm_s))],
        ["moved in a step at least, MB", significant(megabytes)],
        ["copying of this device, GB/s (read + written)", significant(bound.copy_gb_per_s)],
        ["least possible time by that rate, ms", significant(_ms(bound.least_copy_s))],
        ["that of a step, %", significant(_share_pct(bound.least_copy_s, bound.step_s))],
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
    parts = "; ".join(f"{escape(what)} {significant(size / 1e6)} MB" for what, size in bound.moved_bytes.items())
    return (
        "GFLOP are those of matrix products, convolutions and attention, forward and backward (1 multiply-accumulate = "
        "2); element-wise work isn't counted. "
        f"Bytes: {parts}. Activations, and casts of weights within the passes, are not counted, and what stays in a "
        "cache from step to step need not be moved at all: this is the least for weights that do not."
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
    return None if seconds is None else 1e3 * seconds


def _share_pct(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None else 100 * part / whole
