"""What makes a run's figures worth less than they seem: flags, each from evidence in the record alone.

All limits are here. They are meant to be passed by a run on a machine of its own, and not by one that was disturbed.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.records.schema import BatchPoint, BatchSweep, Flag, Load, Throughput
from benchmarks.stats.intervals import median_interval

MEDIAN_WITHIN = 0.02
"""The 95% interval of a median is to be within this share of it: the ratio of two is then off by 4% at most."""
DRIFT_WITHIN = 0.05
"""For medians of the first and last third: more than two differ by that are each known to within `MEDIAN_WITHIN`."""
MIN_DRIFT_SAMPLES = 6
"""Fewer leave thirds of one sample, and then every outlier is a drift."""
MAX_FOREIGN_CPU = 0.05
"""Share of the processor that may go to others: what an idle system's own services stay below."""
MIN_LOAD_S = 1.0
"""Shares of a shorter part aren't judged: ticks of 10 ms are samples, and of few the shares are several percent off."""
THROTTLED = frozenset({"hw_slowdown", "sw_thermal_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"})
"""Heat and emergency brakes. Idling, chosen clocks and the board's power limit are how the GPU is meant to run."""
MIN_GPU_BUSY = 0.8
"""Share of the time in which a kernel should run; the rest is waiting for the host."""
MIN_STEP_GROWTH = 1.2
"""How many times as long a step should take with twice the images: 2 where work decides, 1 where fixed costs do."""


def validity_flags(
    *,
    throughput: Throughput | None = None,
    batch_size: int | None = None,
    load: Mapping[str, Load] | None = None,
    batch_sweep: BatchSweep | None = None,
) -> list[Flag]:
    """All flags that some evidence gives; what wasn't measured gives none.

    Args:
        throughput: with the samples.
        batch_size: the recipe's, for training.
        load: of the parts in which something was timed, by name.
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
    """Samples by what they are of, whose median isn't known to within `MEDIAN_WITHIN`."""
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
    """Samples, in the order in which they were taken, whose last third differs from the first."""
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
    """Training speed at another batch size than the recipe's."""
    measured = throughput["train_batch_size"]
    if measured is not None and batch_size is not None and measured != batch_size:
        yield _flag(
            "batch_changed",
            f"Training throughput was measured at batch size {measured}, the recipe has {batch_size}.",
            f"Compare it only at batch size {measured}, or choose a --batch-size that can be measured.",
        )


def shared_cpu(load: Mapping[str, Load]) -> Iterator[Flag]:
    """Parts in which others, or the hypervisor, had the processor."""
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
    """Parts in which heat or an emergency brake lowered the GPU's clocks."""
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
    """Parts in which other processes computed on the GPU."""
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
    """A speed that fixed costs of each step decide, such as launching kernels, more than the model's work.

    Args:
        load: by part; the GPU's busy share is looked at.
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
