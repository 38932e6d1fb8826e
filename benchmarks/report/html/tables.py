"""The tables of a set as the page sorts and filters them: texts for people, and the numbers that they are sorted by."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from benchmarks.report.frames import SectionFrames, entries
from benchmarks.report.section import COST_CAPTION, throughput_caption
from benchmarks.report.tables import TOP1_HEADERS, interval_kinds, rate_text, top1_text
from benchmarks.report.text import MISSING, number, significant

Entry = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column: its title, what it is sorted by, and its text; `is_word` where it is not of numbers."""

    title: str
    key: str
    text: Callable[[Entry], str]
    is_word: bool = False


def section_tables(part: SectionFrames) -> list[dict[str, Any]]:
    """Accuracy, throughput and cost of a section; the last one only where work was counted."""
    accuracy_caption = "Test accuracy is that of the last epoch, averaged over seeds, with its 95% interval."
    if part.accuracy["group"].notna().any():
        accuracy_caption += " Rows that share a letter can't be told apart."
    tables = [
        table_content("Accuracy", part.accuracy, accuracy_columns(part.accuracy), accuracy_caption),
        table_content("Throughput", part.throughput, throughput_columns(part.throughput), _plain_caption(part)),
    ]
    if not part.cost.empty:
        tables.append(table_content("Cost", part.cost, cost_columns(), COST_CAPTION))
    return tables


def table_content(name: str, frame: pd.DataFrame, columns: Sequence[Column], caption: str) -> dict[str, Any]:
    """A table: columns of which something is known, and for each row its texts and what they are sorted by."""
    rows = entries(frame)
    texts = {column.title: [column.text(row) for row in rows] for column in columns}
    shown = [column for column in columns if set(texts[column.title]) != {MISSING}]
    return {
        "name": name,
        "caption": caption,
        "columns": [{"title": column.title, "is_word": column.is_word} for column in shown],
        "labels": [row["variant"] for row in rows],
        "texts": [[texts[column.title][place] for column in shown] for place in range(len(rows))],
        "keys": [[row[column.key] for column in shown] for row in rows],
    }


def accuracy_columns(frame: pd.DataFrame) -> list[Column]:
    """How good each row is."""
    budget = [Column(title="budget", key="budget", text=lambda row: row["budget"], is_word=True)]
    return [
        *(budget if frame["budget"].nunique() > 1 else []),
        Column(title="params", key="num_params", text=lambda row: number(row["num_params"])),
        Column(title="seeds", key="num_seeds", text=lambda row: number(row["num_seeds"])),
        Column(title=TOP1_HEADERS[interval_kinds(frame)], key="test_top1_pct", text=top1_text),
        Column(title="group", key="group", text=lambda row: row["group"] or MISSING, is_word=True),
        Column(title="val top-1, %", key="val_top1_pct", text=lambda row: number(row["val_top1_pct"], 2)),
        Column(title="test NLL", key="test_nll", text=lambda row: number(row["test_nll"], 3)),
        Column(title="macro F1", key="macro_f1", text=lambda row: number(row["macro_f1"], 4)),
        Column(title="train, s", key="train_s", text=lambda row: significant(row["train_s"])),
        Column(title="status", key="status", text=lambda row: row["status"], is_word=True),
    ]


def throughput_columns(frame: pd.DataFrame) -> list[Column]:
    """How fast each row is, and what that takes."""
    return [
        Column(title="train, img/s", key="train_img_per_s", text=lambda row: rate_text(row, "train")),
        Column(title="infer, img/s", key="infer_img_per_s", text=lambda row: rate_text(row, "infer")),
        _word("train batch", "train_batch_size"),
        _word("infer batch", "infer_batch_size"),
        _word("precision", "precision"),
        _word("engine", "engine"),
        _measure("first step (compile), s", "first_step_s"),
        _word("compiler's cache", "compiler_cache"),
        _measure("train, s", "train_s"),
        _measure("wall, s", "wall_s"),
        Column(title="peak memory, MiB", key="peak_mem_mib", text=lambda row: number(row["peak_mem_mib"])),
        Column(title="before the model, MiB", key="baseline_mem_mib", text=lambda row: number(row["baseline_mem_mib"])),
        _measure("J per 1,000 training images", "train_j_per_1000_img"),
        *(
            _measure(f"latency {cut} ({base.replace('_', ' ')}), ms", f"latency_{base}_{cut}_ms")
            for base in _latencies(frame)
            for cut in ("p50", "p95", "p99")
        ),
    ]


def cost_columns() -> list[Column]:
    """What each row computes, and how near it comes to what the device can do."""
    return [
        Column(title="params", key="num_params", text=lambda row: number(row["num_params"])),
        _measure("forward, GMACs/image", "forward_gmacs"),
        _measure("forward, GFLOPs/image", "forward_gflops"),
        _measure("training, GFLOPs/image", "training_gflops"),
        _word("precision", "precision"),
        _measure("achieved in training, TFLOP/s", "train_tflop_per_s"),
        _measure("MFU, %", "train_mfu_pct"),
        _measure("FLOP/byte", "train_flop_per_byte"),
        _measure("of the bound, %", "train_bound_pct"),
    ]


def _plain_caption(part: SectionFrames) -> str:
    return html.unescape(throughput_caption(part.section))


def _word(title: str, key: str) -> Column:
    return Column(title=title, key=key, text=lambda row: row[key] or MISSING, is_word=True)


def _measure(title: str, key: str) -> Column:
    return Column(title=title, key=key, text=lambda row: significant(row[key]))


def _latencies(frame: pd.DataFrame) -> list[str]:
    """Batches of which latency is known, such as `batch_1`."""
    ends = ("latency_", "_p50_ms")
    return [
        name.removeprefix(ends[0]).removesuffix(ends[1])
        for name in frame.columns
        if name.startswith(ends[0]) and name.endswith(ends[1])
    ]
