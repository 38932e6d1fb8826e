"""What the throughput table says beyond medians: how sure they are, whether they came out again, parts, batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.record import RunRecord
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, details, escape, number, significant, table
from benchmarks.schema import BatchPoint, BatchSweep
from benchmarks.stats.intervals import median_interval

REPEATS_WITHIN = 0.05
"""A run that is made again with the same software should be as fast as before to within this share."""

SHARES_CAPTION = (
    "Medians of steps whose parts were timed apart, waiting for the device between them; on a GPU they add up to more"
    " than a step that runs through. Steps that are one unit (captured, or compiled as a whole) have no parts."
)
BATCHES_CAPTION = (
    "Images per second by batch size, in the precision and engine of the row; **bold**: the knee, the smallest batch "
    "that reaches 90% of the highest rate."
)


def spread_pct(samples: Sequence[float]) -> float | None:
    """How far the 95% interval of the samples' median reaches from it, in percent of it; None where there is none."""
    interval = median_interval(samples)
    if interval is None:
        return None
    middle = median(samples)
    return 100 * max(middle - interval[0], interval[1] - middle) / middle


def speed_cells(row: Row) -> dict[str, Any]:
    """Further columns of `throughput.csv`."""
    runs = row.ok
    speeds = [record.throughput for record in runs if record.throughput]
    memories = [record.memory for record in runs if record.memory]
    compilations = [record.compilation for record in runs if record.compilation]
    energies = [record.energy for record in runs if record.energy]
    shares = [record.step_shares for record in runs if record.step_shares]
    sweeps = _sweeps(row)
    return {
        "train_spread_pct": _most(spread_pct(speed["train_samples_img_per_s"]) for speed in speeds),
        "infer_spread_pct": _most(spread_pct(speed["infer_samples_img_per_s"]) for speed in speeds),
        "repeated_ratio": repeated_ratio(row),
        "baseline_mem_mib": _most(memory["baseline_mem_mib"] for memory in memories),
        "peak_reserved_mib": _most(memory["peak_reserved_mib"] for memory in memories),
        "compiler_cache": compilations[0]["cache"] if compilations else None,
        "num_graph_breaks": _most(found["num_graph_breaks"] for found in compilations),
        "num_recompiles": _most(found["num_recompiles"] for found in compilations),
        "train_j_per_1000_img": _median(energy["train_j_per_1000_img"] for energy in energies),
        "run_j": _median(energy["run_j"] for energy in energies),
        "forward_ms": _median(share["forward_ms"] for share in shares),
        "backward_ms": _median(share["backward_ms"] for share in shares),
        "optimizer_ms": _median(share["optimizer_ms"] for share in shares),
        "train_knee_batch": sweeps[-1]["train_knee"] if sweeps else None,
        "infer_knee_batch": sweeps[-1]["infer_knee"] if sweeps else None,
    }


def repeated_ratio(row: Row) -> float | None:
    """Training throughput over that of the run before it with the same seed and software, the largest departure of all.

    None where no run was made again: other versions or sources are another measurement.
    """
    ratios = (_repeated(row, record) for record in row.ok)
    return max((ratio for ratio in ratios if ratio is not None), key=lambda ratio: abs(ratio - 1), default=None)


def repeats_note(row: Row) -> str | None:
    """What to know where throughput didn't come out again; None where it did, or was measured once."""
    ratio = repeated_ratio(row)
    if ratio is None or abs(ratio - 1) <= REPEATS_WITHIN:
        return None
    return (
        f"Measured again, training throughput came out {ratio:.2f} times as high, more than {REPEATS_WITHIN:.0%} off: "
        "the machine was not the same in both. Compare rows of one sweep only, or repeat on a machine of its own."
    )


def share_parts(section: Section) -> list[str]:
    """The parts of a training step, as a table that opens on a click; nothing where none were timed."""
    rows = []
    for row in section.rows:
        cells = speed_cells(row)
        parts = [cells["forward_ms"], cells["backward_ms"], cells["optimizer_ms"]]
        if None not in parts:
            shares = [f"{significant(part)} ({part / sum(parts):.0%})" for part in parts]
            rows.append([escape(row.label), *shares, significant(sum(parts))])
    if not rows:
        return []
    headers = ["model", "forward, ms", "backward, ms", "optimizer, ms", "together, ms"]
    return [details("Parts of a training step", f"{table(headers, rows)}\n\n{SHARES_CAPTION}")]


def swept_rows(section: Section) -> dict[str, BatchSweep]:
    """The last sweep over batch sizes of each row that has one, by its label."""
    return {row.label: sweeps[-1] for row in section.rows if (sweeps := _sweeps(row))}


def batch_parts(section: Section) -> list[str]:
    """Throughput over batch sizes, as tables that open on a click; nothing where none were tried."""
    found = swept_rows(section)
    if not found:
        return []
    train = {label: (sweep["train"], sweep["train_knee"]) for label, sweep in found.items()}
    infer = {label: (sweep["infer"], sweep["infer_knee"]) for label, sweep in found.items()}
    blocks = ["Training, img/s:", *_batch_table(train), "Inference, img/s:", *_batch_table(infer), BATCHES_CAPTION]
    return [details("Throughput by batch size", "\n\n".join(blocks))]


def _batch_table(found: Mapping[str, tuple[Sequence[BatchPoint], int | None]]) -> list[str]:
    """A row for each label, a column for each size, and why a row ends where it does."""
    sizes = sorted({point["batch_size"] for points, _ in found.values() for point in points})
    rows: list[list[str]] = []
    ends: list[str] = []
    for label, (points, knee) in found.items():
        rates = {point["batch_size"]: number(point["img_per_s"]) for point in points}
        cells = [rates.get(size, MISSING) for size in sizes]
        marked = [f"**{cell}**" if size == knee else cell for size, cell in zip(sizes, cells, strict=True)]
        rows.append([escape(label), *marked])
        if points and points[-1]["note"]:
            ends.append(f"{escape(label)} at {points[-1]['batch_size']:,}: {escape(points[-1]['note'])}")
    return [table(["model \\ batch", *map(str, sizes)], rows), *(["; ".join(ends) + "."] if ends else [])]


def _sweeps(row: Row) -> list[BatchSweep]:
    return [record.batch_sizes for record in row.ok if record.batch_sizes]


def _repeated(row: Row, record: RunRecord) -> float | None:
    """Throughput over that of the run that was replaced, if that is one of the same software and measured, too."""
    mine = _speed(record)
    before = [
        _speed(run)
        for run in row.replaced
        if run.seed == record.seed
        and run.environment["software"] == record.environment["software"]
        and run.environment["details"] == record.environment["details"]
    ]
    return mine / before[-1] if mine and before and before[-1] else None


def _speed(record: RunRecord) -> float | None:
    return record.throughput["train_img_per_s"] if record.throughput else None


def _most(values: Iterable[Any]) -> Any:
    return _of(max, values)


def _median(values: Iterable[Any]) -> Any:
    return _of(median, values)


def _of(summarize: Callable[[list[Any]], Any], values: Iterable[Any]) -> Any:
    present = [value for value in values if value is not None]
    return summarize(present) if present else None
