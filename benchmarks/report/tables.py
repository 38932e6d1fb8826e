"""Frames as the markdown tables that people read: sensible digits, units in the headers, a dash for what is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from benchmarks.report.frames import T_INTERVAL, WILSON_INTERVAL, entries, predicted_column
from benchmarks.report.text import MISSING, escape, number, significant, table

Cell = Callable[[Mapping[str, Any]], str]

WORDS = ("budget", "group", "status", "precision", "engine")

CONFUSIONS_SHOWN = 20
"""Of the best rows: GitHub cuts pages off at half a megabyte."""

TOP1_HEADERS = {
    frozenset({T_INTERVAL}): "test top-1, % (± 95% t interval over seeds)",
    frozenset({WILSON_INTERVAL}): "test top-1, % (95% binomial interval)",
    frozenset({T_INTERVAL, WILSON_INTERVAL}): "test top-1, % (95% interval)",
    frozenset[str](): "test top-1, %",
}


def accuracy_table(frame: pd.DataFrame, marks: Mapping[str, str]) -> str:
    """The accuracy table of one section; `marks` are footnote marks by configuration key."""
    columns: dict[str, Cell] = {
        "model": lambda row: _variant(row, marks),
        "params": lambda row: number(row["num_params"]),
        "seeds": lambda row: number(row["num_seeds"]),
        TOP1_HEADERS[interval_kinds(frame)]: top1_text,
        "group": lambda row: row["group"] or MISSING,
        "val top-1, %": lambda row: number(row["val_top1_pct"], 2),
        "test NLL": lambda row: number(row["test_nll"], 3),
        "macro F1": lambda row: number(row["macro_f1"], 4),
        "train, s": lambda row: significant(row["train_s"]),
        "status": lambda row: row["status"],
    }
    if frame["budget"].nunique() > 1:
        columns = {"model": columns["model"], "budget": lambda row: escape(row["budget"]), **columns}
    return _render(frame, columns, optional={"val top-1, %", "group"})


def throughput_table(frame: pd.DataFrame, marks: Mapping[str, str]) -> str:
    """The throughput table of one section; `marks` are footnote marks by configuration key."""
    columns: dict[str, Cell] = {
        "model": lambda row: _variant(row, marks),
        "train, img/s": lambda row: rate_text(row, "train"),
        "infer, img/s": lambda row: rate_text(row, "infer"),
        "batch (train / infer)": _batch_sizes,
        "precision": lambda row: escape(row["precision"] or MISSING),
        "engine": lambda row: escape(row["engine"] or MISSING),
        "first step (compile), s": _first_step,
        "train, s": lambda row: significant(row["train_s"]),
        "wall, s": lambda row: significant(row["wall_s"]),
        "peak memory (before the model), MiB": _memory,
        "J per 1,000 training images": lambda row: significant(row["train_j_per_1000_img"]),
    }
    for name in [name for name in frame.columns if name.startswith("latency_") and name.endswith("_p50_ms")]:
        base = name.removesuffix("_p50_ms")
        title = f"latency p50 / p95 / p99 ({escape(base.removeprefix('latency_').replace('_', ' '))}), ms"
        columns[title] = lambda row, base=base: _percentiles(row, base)  # type: ignore[misc]
    return _render(frame, columns, optional={"J per 1,000 training images"})


def cost_table(frame: pd.DataFrame, marks: Mapping[str, str]) -> str:
    """The table of cost and roofline of one section; `marks` are footnote marks by configuration key."""
    columns: dict[str, Cell] = {
        "model": lambda row: _variant(row, marks),
        "params": lambda row: number(row["num_params"]),
        "forward, GMACs/image": lambda row: significant(row["forward_gmacs"]),
        "forward, GFLOPs/image": lambda row: significant(row["forward_gflops"]),
        "training, GFLOPs/image": lambda row: significant(row["training_gflops"]),
        "precision": lambda row: escape(row["precision"] or MISSING),
        "achieved in training, TFLOP/s": lambda row: significant(row["train_tflop_per_s"]),
        "MFU, %": lambda row: significant(row["train_mfu_pct"]),
        "FLOP/byte": lambda row: significant(row["train_flop_per_byte"]),
        "of the bound, %": lambda row: significant(row["train_bound_pct"]),
    }
    return _render(frame, columns, optional=set())


def class_table(frame: pd.DataFrame, score: str) -> str:
    """One score (`precision`, `recall` or `f1`) in percent: a row for each configuration, a column for each class."""
    names = list(dict.fromkeys(frame["class"]))
    rows = []
    for _, group in frame.groupby("variant", sort=False):
        values = dict(zip(group["class"], group[score], strict=True))
        cells = [None if (value := values.get(name)) is None else 100 * value for name in names]
        rows.append([escape(group["variant"].iloc[0]), *(number(cell, 1) for cell in cells)])
    return table(["model", *map(escape, names)], rows)


def confusion_tables(frame: pd.DataFrame) -> str:
    """A table of test images for each of the best configurations: rows are true classes, columns predicted ones."""
    parts = []
    groups = [group for _, group in frame.groupby("variant", sort=False)]
    for group in groups[:CONFUSIONS_SHOWN]:
        names = list(group["true"])
        counts = group[[predicted_column(name) for name in names]].itertuples(index=False, name=None)
        rows = [[escape(name), *map(number, row)] for name, row in zip(names, counts, strict=True)]
        num_runs = group["num_runs"].iloc[0]
        summed = f", summed over {num_runs} seeds" if num_runs > 1 else ""
        headers = ["true \\ predicted", *map(escape, names)]
        parts.append(f"**{escape(group['variant'].iloc[0])}**{summed}\n\n{table(headers, rows)}")
    if left_out := len(groups) - len(parts):
        parts.append(f"Those of {left_out:,} more rows are in [confusion.csv](confusion.csv).")
    return "\n\n".join(parts)


def interval_kinds(frame: pd.DataFrame) -> frozenset[str]:
    """Which kinds of interval a section's accuracy table shows."""
    return frozenset(kind for kind in frame["interval_95"] if kind is not None)


def top1_text(row: Mapping[str, Any]) -> str:
    """`92.31 ± 0.21` for the interval over seeds, `92.31 [91.77, 92.82]` for the binomial one: it isn't symmetric."""
    mean, low, high = row["test_top1_pct"], row["test_top1_low_pct"], row["test_top1_high_pct"]
    if mean is None:
        return MISSING
    if row["interval_95"] == T_INTERVAL:
        return f"{mean:.2f} ± {(high - low) / 2:.2f}"
    return f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def rate_text(row: Mapping[str, Any], kind: str) -> str:
    """`9,655 ± 1.2%`: the median, and how far the 95% interval of one run's samples reaches, of the widest."""
    spread = row[f"{kind}_spread_pct"]
    return number(row[f"{kind}_img_per_s"]) + ("" if spread is None else f" ± {spread:.1f}%")


def _first_step(row: Mapping[str, Any]) -> str:
    """Seconds, and whether the compiler's cache was cold or warm where something was compiled."""
    cache = row["compiler_cache"]
    return significant(row["first_step_s"]) + (f" ({escape(cache)})" if cache else "")


def _memory(row: Mapping[str, Any]) -> str:
    baseline = row["baseline_mem_mib"]
    return number(row["peak_mem_mib"]) + ("" if baseline is None else f" ({number(baseline)})")


def _percentiles(row: Mapping[str, Any], base: str) -> str:
    cuts = [row[f"{base}_{cut}_ms"] for cut in ("p50", "p95", "p99")]
    return MISSING if cuts[0] is None else " / ".join(map(significant, cuts))


def _batch_sizes(row: Mapping[str, Any]) -> str:
    train, infer = row["train_batch_size"], row["infer_batch_size"]
    return MISSING if train is None and infer is None else f"{train or MISSING} / {infer or MISSING}"


def _variant(row: Mapping[str, Any], marks: Mapping[str, str]) -> str:
    return escape(row["variant"]) + marks.get(row["config_key"], "")


def _render(frame: pd.DataFrame, columns: Mapping[str, Cell], *, optional: set[str]) -> str:
    """Cells by column; an optional column in which nothing is known is left out."""
    rows = entries(frame)
    cells = {header: [cell(row) for row in rows] for header, cell in columns.items()}
    shown = [header for header in columns if header not in optional or set(cells[header]) != {MISSING}]
    rows_shown = list(zip(*(cells[header] for header in shown), strict=True))
    return table(shown, rows_shown, words=WORDS)
