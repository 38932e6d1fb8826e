"""Throughput beyond medians: repeatability, parts of a training step, batch sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.records.schema import BatchPoint, BatchSweep
from benchmarks.report.columns import STEP_PARTS
from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, escape, number, part, significant, table
from benchmarks.report.values import last_sweep, repeated_ratio

REPEATS_WITHIN = 0.05
"""Largest relative difference in throughput expected when a run is repeated with the same software."""

SHARES_CAPTION = (
    "Medians of parts timed separately, with the device idle in between; on a GPU they add up to more than an "
    "uninterrupted step. Steps captured or compiled as a whole have no parts."
)
BATCHES_CAPTION = (
    "Images per second by batch size, in the row's precision and engine; **bold**: the knee, the smallest batch with "
    "at least 90% of the highest rate."
)


def repeats_note(row: Row) -> str | None:
    """A footnote if throughput differed when repeated; None if it agreed or was measured once."""
    ratio = repeated_ratio(row)
    if ratio is None or abs(ratio - 1) <= REPEATS_WITHIN:
        return None
    return (
        f"Training throughput was {ratio:.2f} times as high when repeated, more than {REPEATS_WITHIN:.0%} off: the "
        "machine's state has changed. Compare rows of one sweep only, or repeat on a dedicated machine."
    )


def share_parts(section: Section) -> list[str]:
    """Table of the parts of a training step; empty if none were timed."""
    rows = []
    for row in section.rows:
        parts = [column.of(row) for column in STEP_PARTS]
        if None not in parts:
            shares = [f"{significant(part)} ({part / sum(parts):.0%})" for part in parts]
            rows.append([escape(row.label), *shares, significant(sum(parts))])
    if not rows:
        return []
    headers = ["model", *(column.axis for column in STEP_PARTS), "total, ms"]
    return [part("Parts of a training step", table(headers, rows), SHARES_CAPTION)]


def swept_rows(section: Section) -> dict[str, BatchSweep]:
    """The latest sweep over batch sizes by row label."""
    return {row.label: swept for row in section.rows if (swept := last_sweep(row))}


def batch_parts(section: Section) -> list[str]:
    """Tables of throughput by batch size; empty if there was no such sweep."""
    found = swept_rows(section)
    if not found:
        return []
    train = {label: (sweep["train"], sweep["train_knee"]) for label, sweep in found.items()}
    infer = {label: (sweep["infer"], sweep["infer_knee"]) for label, sweep in found.items()}
    blocks = ["Training, img/s:", *_batch_table(train), "Inference, img/s:", *_batch_table(infer), BATCHES_CAPTION]
    return [part("Throughput by batch size", *blocks)]


def _batch_table(found: Mapping[str, tuple[Sequence[BatchPoint], int | None]]) -> list[str]:
    """A row for each label, a column for each batch size, and the reason why a row stops."""
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
