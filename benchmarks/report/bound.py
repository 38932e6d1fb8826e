"""The roofline model of a training step: achieved performance and its bound on a device.

Williams, Waterman & Patterson (2009), Roofline: an insightful visual performance model for multicore architectures,
CACM 52(4):65-76. Both roofs are measured. Unknown values, and all that depends on them, are None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import Cost, Roofline, Throughput

GEMM_OF = {"fp32": "fp32", "tf32": "tf32", "bf16": "bf16", "bf16_weights": "bf16", "fp16": "fp16"}
"""Number format of the measured matrix product that bounds each training precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Work and traffic of a training step, and the measured peaks of the device; None if unknown.

    Attributes:
        flops: of one step, forward and backward.
        moved_bytes: minimum memory traffic of one step, by kind.
        step_s: time of one step in steady state.
        gemm_tflop_per_s: measured GEMM rate of the device, in the precision of the passes.
        copy_gb_per_s: measured copy bandwidth of the device, bytes read plus bytes written.
    """

    flops: float | None
    moved_bytes: Mapping[str, int] | None
    step_s: float | None
    gemm_tflop_per_s: float | None
    copy_gb_per_s: float | None

    @property
    def achieved_tflop_per_s(self) -> float | None:
        """Achieved rate of the step."""
        return scaled(_over(self.flops, self.step_s), 1e-12)

    @property
    def mfu_pct(self) -> float | None:
        """Model FLOP/s utilization: percent of the device's GEMM rate in this precision.

        Chowdhery et al. (2022), PaLM, arXiv:2204.02311, appendix B, with a measured peak in place of a vendor's.
        """
        return scaled(_over(self.achieved_tflop_per_s, self.gemm_tflop_per_s), 100)

    @property
    def total_bytes(self) -> int | None:
        """Minimum memory traffic of a step."""
        return None if self.moved_bytes is None else sum(self.moved_bytes.values())

    @property
    def flop_per_byte(self) -> float | None:
        """Arithmetic intensity, an upper limit, since the traffic is a lower one."""
        return _over(self.flops, self.total_bytes)

    @property
    def bound_tflop_per_s(self) -> float | None:
        """Attainable rate at this intensity: the lower of the two roofs."""
        if self.gemm_tflop_per_s is None or self.copy_gb_per_s is None or self.flop_per_byte is None:
            return None
        return min(self.gemm_tflop_per_s, self.flop_per_byte * self.copy_gb_per_s / 1e3)

    @property
    def bound_pct(self) -> float | None:
        """Achieved rate in percent of the bound."""
        return scaled(_over(self.achieved_tflop_per_s, self.bound_tflop_per_s), 100)

    @property
    def least_gemm_s(self) -> float | None:
        """Minimum time of a step at the device's GEMM rate."""
        return _over(scaled(self.flops, 1e-12), self.gemm_tflop_per_s)

    @property
    def least_copy_s(self) -> float | None:
        """Minimum time of a step at the device's copy bandwidth."""
        return _over(scaled(self.total_bytes, 1e-9), self.copy_gb_per_s)


def training_bound(record: RunRecord) -> Bound:
    """Roofline of a run's training step, from its own measurements."""
    cost, throughput = record.cost, record.throughput
    batch_size = throughput["train_batch_size"] if throughput else None
    return Bound(
        flops=cost["training_gflops"] * 1e9 * batch_size if cost and batch_size else None,
        moved_bytes=cost["step_traffic_bytes"] if cost else None,
        step_s=_over(batch_size, throughput["train_img_per_s"] if throughput else None),
        gemm_tflop_per_s=gemm_peak(record.roofline, record.execution["precision"] if record.execution else None),
        copy_gb_per_s=record.roofline["copy_gb_per_s"] if record.roofline else None,
    )


def infer_tflop_per_s(cost: Cost | None, throughput: Throughput | None) -> float | None:
    """Achieved rate of inference (forward pass only)."""
    if cost is None or throughput is None or throughput["infer_img_per_s"] is None:
        return None
    return cost["forward_gflops"] * throughput["infer_img_per_s"] / 1e3


def infer_mfu_pct(record: RunRecord) -> float | None:
    """MFU of inference, in percent."""
    peak = gemm_peak(record.roofline, record.execution["precision"] if record.execution else None)
    return scaled(_over(infer_tflop_per_s(record.cost, record.throughput), peak), 100)


def gemm_peak(roofline: Roofline | None, precision: str | None) -> float | None:
    """Measured GEMM rate for a training precision, in TFLOP/s."""
    if roofline is None or precision not in GEMM_OF:
        return None
    return roofline["gemm_tflop_per_s"].get(GEMM_OF[precision])


def scaled(value: float | None, factor: float) -> float | None:
    """A value in another unit; None if unknown."""
    return None if value is None else value * factor


def _over(part: float | None, whole: float | None) -> float | None:
    """A quotient; None if a value is unknown or the divisor is 0."""
    return None if part is None or not whole else part / whole
