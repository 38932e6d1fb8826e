"""Flags: reasons to trust a run less, each from evidence in its record.

All limits are here. A run on a dedicated machine should pass them, a disturbed one should not.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.records.schema import BatchPoint, BatchSweep, Flag, Load, Throughput
from benchmarks.stats.intervals import median_interval

MEDIAN_WITHIN = 0.02
"""Largest half-width of a median's 95% interval, relative to it: the ratio of two is then off by 4% at most."""
DRIFT_WITHIN = 0.05
"""Largest drift between medians of the first and last third: more than two within `MEDIAN_WITHIN` differ by."""
MIN_DRIFT_SAMPLES = 6
"""Fewest samples to judge: with fewer, a third is one sample and every outlier a drift."""
MAX_FOREIGN_CPU = 0.05
"""Largest share of the processor used by others: an idle system's services stay below."""
MIN_LOAD_S = 1.0
"""Shortest part to judge: ticks are 10 ms, so shares of shorter ones are several percent off."""
THROTTLED = frozenset({"hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"})
"""Thermal and emergency throttling. Idling, chosen clocks and the board's power limit are normal."""
MIN_GPU_BUSY = 0.8
"""Least share of the time with a kernel running; the rest is waiting for the host."""
MIN_STEP_GROWTH = 1.2
"""Least growth of a step's time with twice the images: 2 if work dominates, 1 if overhead does."""


def validity_flags(
    *,
    throughput: Throughput | None = None,
    batch_size: int | None = None,
    load: Mapping[str, Load] | None = None,
    batch_sweep: BatchSweep | None = None,
) -> list[Flag]:
    """All flags for the evidence; unmeasured quantities give none.

    Args:
        throughput: with the samples.
        batch_size: the recipe's, for training.
        load: of the timed parts, by name.
        batch_sweep: throughput over batch sizes.
    """
    flags: list[Flag] = []
    if throughput is not None:
        samples = {
            "training": throughput["train_samples_img_per_s"],
            "inference": throughput["infer_samples_img_per_s"],
        }
        flags += [*few_samples(samples), *drift(samples), *batch_changed(throughput, batch_size)]
    load = load or {}
    flags += [*shared_cpu(load), *gpu_throttled(load), *gpu_shared(load)]
    points = [] if batch_sweep is None else batch_sweep["train"]
    return [*flags, *launch_bound(load, points, batch_size)]


def few_samples(samples: Mapping[str, Sequence[float]]) -> Iterator[Flag]:
    """Flag samples whose median isn't known to within `MEDIAN_WITHIN`."""
    found = []
    for name, values in samples.items():
        if not values:
            continue
        interval, middle = median_interval(values), statistics.median(values)
        if interval is None:
            found.append(f"{name} has {len(values)} samples, too few for an interval")
        elif (off := max(middle - interval[0], interval[1] - middle) / middle) > MEDIAN_WITHIN:
            found.append(f"{name} has {len(values)} samples, and an interval of up to {off:.1%} around the median")
    if found:
        yield _flag(
            "few_samples",
            f"The median throughput is uncertain by more than {MEDIAN_WITHIN:.0%}: {_listed(found)}.",
            "Measure again on a quieter machine or with a longer time limit, or disregard differences within the"
            " interval.",
        )


def drift(samples: Mapping[str, Sequence[float]]) -> Iterator[Flag]:
    """Flag samples, in order of time, whose last third differs from the first."""
    found = []
    for name, values in samples.items():
        third = len(values) // 3
        if len(values) < MIN_DRIFT_SAMPLES:
            continue
        change = statistics.median(values[-third:]) / statistics.median(values[:third]) - 1
        if abs(change) > DRIFT_WITHIN:
            found.append(f"{name} by {change:+.1%} over {len(values)} samples")
    if found:
        yield _flag(
            "drift",
            f"Throughput changed between the first and the last third of the samples: {_listed(found)}.",
            "Find the cause (heat, clocks, other processes, too short a warm-up) and measure again.",
        )


def batch_changed(throughput: Throughput, batch_size: int | None) -> Iterator[Flag]:
    """Flag training speed measured at another batch size than the recipe's."""
    measured = throughput["train_batch_size"]
    if measured is not None and batch_size is not None and measured != batch_size:
        yield _flag(
            "batch_changed",
            f"Training throughput was measured at batch size {measured}, the recipe has {batch_size}.",
            f"Compare it only at batch size {measured}, or choose a --batch-size that can be measured.",
        )


def shared_cpu(load: Mapping[str, Load]) -> Iterator[Flag]:
    """Flag parts during which other processes or the hypervisor used the processor."""
    found = []
    for name, part in load.items():
        shares = {"other processes": part["other_cpu"], "the hypervisor": part["stolen_cpu"]}
        above = [f"{who} {share:.1%}" for who, share in shares.items() if (share or 0) > MAX_FOREIGN_CPU]
        if above and part["seconds"] >= MIN_LOAD_S:
            found.append(f"{' and '.join(above)} during {name}")
    if found:
        yield _flag(
            "shared_cpu",
            f"Others used the processor during timing: {_listed(found)}.",
            "Stop other processes, or use a machine with dedicated cores, and measure again.",
        )


def gpu_throttled(load: Mapping[str, Load]) -> Iterator[Flag]:
    """Flag parts with thermal or emergency throttling of the GPU."""
    found = []
    for name, part in load.items():
        if reasons := THROTTLED.intersection(part["gpu_throttle_reasons"] or []):
            clock = part["gpu_sm_clock_mhz"]
            at = "" if clock is None else f", at a median of {clock:.0f} MHz"
            found.append(f"{', '.join(sorted(reasons))} during {name}{at}")
    if found:
        yield _flag(
            "gpu_throttled",
            f"The GPU throttled its clocks: {_listed(found)}.",
            "Check the GPU's cooling and power supply, or lock its clocks lower (nvidia-smi --lock-gpu-clocks), and"
            " measure again.",
        )


def gpu_shared(load: Mapping[str, Load]) -> Iterator[Flag]:
    """Flag parts during which other processes used the GPU."""
    found = []
    for name, part in load.items():
        if others := part["gpu_other_processes"]:
            found.append(f"{others} other process{'es' if others > 1 else ''} during {name}")
    if found:
        yield _flag(
            "gpu_shared",
            f"The GPU was shared: {_listed(found)}.",
            "Stop them (see nvidia-smi), or choose another GPU with CUDA_VISIBLE_DEVICES, and measure again.",
        )


def launch_bound(load: Mapping[str, Load], points: Sequence[BatchPoint], batch_size: int | None) -> Iterator[Flag]:
    """Flag a speed limited by overhead per step, such as kernel launches, rather than the model's work.

    Args:
        load: by part, for the GPU's busy share.
        points: training throughput over batch sizes.
        batch_size: of the run.
    """
    found = [
        f"a kernel ran in {busy:.0%} of the time during {name}"
        for name, part in load.items()
        if (busy := part["gpu_busy"]) is not None and busy < MIN_GPU_BUSY
    ]
    rates = {point["batch_size"]: point["img_per_s"] for point in points}
    if batch_size and batch_size % 2 == 0 and (rate := rates.get(batch_size)) and (half := rates.get(batch_size // 2)):
        growth = 2 * half / rate
        if growth < MIN_STEP_GROWTH:
            found.append(f"a step of {batch_size} images takes {growth:.2f} times as long as one of {batch_size // 2}")
    if found:
        yield _flag(
            "launch_bound",
            f"Overhead per step limits the speed, not the model's work: {_listed(found)}.",
            "Raise --batch-size, or try --engine compile (graph on CUDA), before attributing this speed to the"
            " architecture.",
        )


def _flag(kind: str, evidence: str, advice: str) -> Flag:
    return {"kind": kind, "evidence": evidence, "advice": advice}


def _listed(parts: Sequence[str]) -> str:
    return "; ".join(parts)
