"""What tables show, as pandas frames with full numbers and units in the column names: the content of the CSV files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import pandas as pd

from benchmarks.record import RunRecord
from benchmarks.report.costs import cost_cells
from benchmarks.report.rows import Row, Section
from benchmarks.report.speed import speed_cells
from benchmarks.report.text import inert
from benchmarks.schema import GEMM_PRECISIONS
from benchmarks.stats.intervals import mean_t_interval, wilson_interval

T_INTERVAL = "t over seeds"
WILSON_INTERVAL = "binomial (Wilson) over test images"

IDENTITY = ("dataset", "track", "num_train", "num_val", "budget", "variant", "model")
"""The columns that every frame begins with, also an empty one."""


@dataclass(frozen=True, slots=True)
class SectionFrames:
    """The frames of one section."""

    section: Section
    accuracy: pd.DataFrame
    throughput: pd.DataFrame
    cost: pd.DataFrame
    per_class: pd.DataFrame
    confusion: pd.DataFrame


def section_frames(section: Section, letters: Mapping[str, str] | None = None) -> SectionFrames:
    """All frames of a section, with rows in its order; `letters` as for `accuracy_frame`."""
    makers = (throughput_frame, cost_frame, per_class_frame, confusion_frame)
    return SectionFrames(section, accuracy_frame(section, letters), *(make(section) for make in makers))


def accuracy_frame(section: Section, letters: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A row for each configuration: how well it did, averaged over its runs that ended well.

    Args:
        section: of the rows.
        letters: the group of each row that can't be told apart, by configuration key.
    """
    found = letters or {}
    return _frame(section, [{**_accuracy(row), "group": found.get(row.records[0].config_key)} for row in section.rows])


def throughput_frame(section: Section) -> pd.DataFrame:
    """A row for each configuration: how fast it was and what it cost."""
    return _frame(section, [_throughput(row) for row in section.rows])


def cost_frame(section: Section) -> pd.DataFrame:
    """A row for each configuration whose work was counted: its FLOPs, and its share of the roofs."""
    counted = [(row, cells) for row in section.rows if (cells := cost_cells(row)) is not None]
    return _frame(
        section, [{**_identity(row), **cells, "config_key": row.records[0].config_key} for row, cells in counted]
    )


def per_class_frame(section: Section) -> pd.DataFrame:
    """A row for each configuration and class: precision, recall and F1, averaged over runs."""
    cells = []
    for row in section.rows:
        for index, name in enumerate(class_names(row)):
            scores = [record.metrics["per_class"][index] for record in matching(row) if record.metrics]
            averages = {key: average(score[key] for score in scores) for key in ("precision", "recall", "f1")}
            cells.append({**_identity(row), "class": name, **averages, "support": scores[0]["support"]})
    return _frame(section, cells)


def confusion_frame(section: Section) -> pd.DataFrame:
    """A row for each configuration and true class, a column for each predicted class: test images, summed over runs."""
    cells = []
    for row in section.rows:
        names, runs = class_names(row), matching(row)
        for index, name in enumerate(names):
            counts = [record.metrics["confusion_matrix"][index] for record in runs if record.metrics]
            predicted = dict(zip(map(predicted_column, names), map(sum, zip(*counts, strict=True)), strict=True))
            cells.append({**_identity(row), "num_runs": len(runs), "true": name, **predicted})
    return _frame(section, cells)


def rows_frame(section: Section, cells: Sequence[tuple[Row, Mapping[str, Any]]]) -> pd.DataFrame:
    """A frame of any cells, each set with the row of the section that it is of."""
    return _frame(section, [{**_identity(row), **own} for row, own in cells])


def predicted_column(name: str) -> str:
    """The column that counts test images taken for a class."""
    return f"predicted {name}"


def class_names(row: Row) -> list[str]:
    """The classes of a row's first run that counts; none where no run does."""
    return _names(row.ok[0]) if row.ok else []


def matching(row: Row) -> list[RunRecord]:
    """The runs of a row that have the classes of its first: others can't be added to it."""
    return [record for record in row.ok if _names(record) == class_names(row)]


def csv(frames: Sequence[pd.DataFrame]) -> str:
    """Frames below each other as CSV; six significant digits, so that any version of scipy gives the same bytes.

    Text of records, such as a model's name, is made so that no spreadsheet runs it.
    """
    rows = [{name: _cell(value) for name, value in row.items()} for frame in frames for row in entries(frame)]
    return _object_frame(rows).to_csv(index=False, lineterminator="\n")


def entries(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame by column name."""
    names = list(frame.columns)
    return [dict(zip(names, row, strict=True)) for row in frame.itertuples(index=False, name=None)]


def average(values: Iterable[float | None]) -> float | None:
    """The mean of the values that there are; None where there is none."""
    return _summary(fmean, values)


def _names(record: RunRecord) -> list[str]:
    return [score["class"] for score in record.metrics["per_class"]] if record.metrics else []


def _accuracy(row: Row) -> dict[str, Any]:
    top1, metrics = row.test_top1_pct, [record.metrics for record in row.ok if record.metrics]
    low, high, kind = _interval(row)
    return {
        **_identity(row),
        "num_params": _summary(max, (record.num_params for record in row.records)),
        "num_seeds": len(row.ok),
        "test_top1_pct": average(top1),
        "test_top1_low_pct": low,
        "test_top1_high_pct": high,
        "interval_95": kind,
        "val_top1_pct": average(record.history[-1]["val_top1_pct"] for record in row.ok if record.history),
        "test_nll": average(scores["test_nll"] for scores in metrics),
        "macro_f1": average(scores["macro_f1"] for scores in metrics),
        "train_s": average(record.ledger["train_s"] for record in row.ok),
        "status": _status(row),
        "config_key": row.records[0].config_key,
    }


def _throughput(row: Row) -> dict[str, Any]:
    speeds = [record.throughput for record in row.ok if record.throughput]
    executions = [record.execution for record in row.ok or row.records if record.execution]
    memory = [record.memory for record in row.ok if record.memory]
    return {
        **_identity(row),
        "train_img_per_s": _summary(median, (speed["train_img_per_s"] for speed in speeds)),
        "infer_img_per_s": _summary(median, (speed["infer_img_per_s"] for speed in speeds)),
        "train_batch_size": _distinct(speed["train_batch_size"] for speed in speeds),
        "infer_batch_size": _distinct(speed["infer_batch_size"] for speed in speeds),
        "precision": _distinct(execution["precision"] for execution in executions),
        "engine": _distinct(execution["engine"] for execution in executions),
        "first_step_s": _summary(max, (record.ledger["first_step_s"] for record in row.ok)),
        "train_s": average(record.ledger["train_s"] for record in row.ok),
        "wall_s": average(record.ledger["wall_s"] for record in row.ok),
        "peak_mem_mib": _summary(max, (use["peak_mem_mib"] for use in memory)),
        "memory_kind": _distinct(use["kind"] for use in memory),
        **speed_cells(row),
        **_latency(row),
        **_roofline(row),
        "status": _status(row),
        "flags": _distinct_flags(row),
        "config_key": row.records[0].config_key,
    }


def _distinct_flags(row: Row) -> str | None:
    flags = (flag for record in row.records for flag in record.flags)
    return "; ".join(dict.fromkeys(f"{flag['kind']}: {flag['evidence']}" for flag in flags)) or None


def _latency(row: Row) -> dict[str, float | None]:
    measured = [record.latency for record in row.ok if record.latency]
    batches = sorted({name for latency in measured for name in latency}, key=lambda name: (len(name), name))
    return {
        f"latency_{name}_{cut}": _summary(median, (latency[name][cut] for latency in measured if name in latency))
        for name in batches
        for cut in ("p50_ms", "p95_ms", "p99_ms")
    }


def _roofline(row: Row) -> dict[str, float | None]:
    """What the device was measured to do: the median over the row's runs."""
    measured = [record.roofline for record in row.ok if record.roofline]
    gemm = {
        f"gemm_{precision}_tflop_per_s": _summary(
            median, (roofline["gemm_tflop_per_s"].get(precision) for roofline in measured)
        )
        for precision in GEMM_PRECISIONS
    }
    return {**gemm, "copy_gb_per_s": _summary(median, (roofline["copy_gb_per_s"] for roofline in measured))}


def _interval(row: Row) -> tuple[float | None, float | None, str | None]:
    """The 95% interval of a row's test accuracy in percent, and of which kind it is."""
    top1 = row.test_top1_pct
    if len(top1) > 1:
        return *mean_t_interval(top1), T_INTERVAL
    if not top1:
        return None, None, None
    num_images = num_test_images(row.ok[0])
    low, high = wilson_interval(round(top1[0] / 100 * num_images), num_images)
    return 100 * low, 100 * high, WILSON_INTERVAL


def num_test_images(record: RunRecord) -> int:
    """How many images a run was tested on."""
    assert record.metrics is not None
    return sum(map(sum, record.metrics["confusion_matrix"]))


def _status(row: Row) -> str:
    """`ok`, or what went wrong and how many runs did not."""
    wrong = sorted({record.status for record in row.records} - {"ok"})
    return f"{', '.join(wrong)} ({len(row.ok)}/{len(row.records)} ok)" if wrong else "ok"


def _identity(row: Row) -> dict[str, Any]:
    return {"budget": row.config["recipe"]["budget"], "variant": row.label, "model": row.config["model"]}


def _frame(section: Section, cells: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows with the section's conditions before their own cells."""
    conditions = section.conditions
    shared = {
        "dataset": conditions.dataset,
        "track": conditions.track,
        "num_train": conditions.num_train,
        "num_val": conditions.num_val,
    }
    return _object_frame([{**shared, **own} for own in cells])


def _object_frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A frame whose values stay the Python objects that they are: pandas would make 256 beside None a 256.0."""
    columns = dict.fromkeys([*IDENTITY, *(name for row in rows for name in row)])
    whole = [[row.get(name) for name in columns] for row in rows]
    return pd.DataFrame(whole, columns=list(columns), dtype=object)


def _summary(summarize: Callable[[list[Any]], Any], values: Iterable[Any]) -> Any:
    present = [value for value in values if value is not None]
    return summarize(present) if present else None


def _distinct(values: Iterable[Any]) -> str | None:
    """One value, or several joined, as text; None where there is none."""
    return ", ".join(dict.fromkeys(str(value) for value in values if value is not None)) or None


def _cell(value: object) -> object:
    if isinstance(value, str):
        return inert(value)
    return float(f"{value:.6g}") if isinstance(value, float) else value
