"""All table columns, defined once for CSV files, Markdown, the HTML page and figure axes.

A new column is one entry in its table (fields: `benchmarks.report.cells.Column`). If it is a mean, a median or a
maximum over runs, say so in the table's caption in `benchmarks.report.section`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean, median

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import GEMM_PRECISIONS
from benchmarks.report import values
from benchmarks.report.bound import Bound, infer_mfu_pct, infer_tflop_per_s, training_bound
from benchmarks.report.cells import Column, Merged, Over, differs, is_known, word
from benchmarks.report.rates import Kind
from benchmarks.report.rows import Row
from benchmarks.report.text import escape, number

mean, middle, most = partial(Over, fmean), partial(Over, median), partial(Over, max)
distinct, spread = partial(Over, values.distinct), partial(Over, values.widest_spread_pct)
word_column = partial(Column, text=word, is_word=True)


def of_bound(value: Callable[[Bound], float | None]) -> Over:
    """The median over runs of a quantity of the training roofline."""
    return middle(lambda run: value(training_bound(run)))


def busy_cores(run: RunRecord) -> float | None:
    """Mean number of cores that a run's worker kept busy during training."""
    train = (run.load or {}).get("train")
    cpu_s = None if train is None else train.get("own_cpu_s")
    return None if train is None or cpu_s is None or not train["seconds"] else cpu_s / train["seconds"]


def train_cpu_us_per_img(run: RunRecord) -> float | None:
    """Worker CPU time per training image; None if an earlier process trained part of the run."""
    cores, batch_size = busy_cores(run), run.throughput["train_batch_size"] if run.throughput else None
    resumed = any(flag["kind"] == "resumed" for flag in run.flags)
    if cores is None or resumed or not (run.load and run.num_steps and batch_size):
        return None
    return 1e6 * cores * run.load["train"]["seconds"] / (run.num_steps * batch_size)


NUM_PARAMS = Column(
    "num_params", most("num_params", "records"), "params", name="parameters", text=number, better="lower"
)
TRAIN_S = Column("train_s", mean("ledger.train_s"), "train", "s", name="training time", better="lower")
PRECISION = word_column("precision", distinct("execution.precision", "tried"), "precision")
CONFIG_KEY = Column("config_key", lambda row: row.config_key)


def accuracy_columns(letters: Mapping[str, str] | None = None) -> tuple[Column, ...]:
    """Columns of the accuracy table: means over the successful runs of a row.

    Args:
        letters: by configuration key; rows with a common letter are not significantly different.
    """
    return (
        word_column("budget", lambda row: row.config["recipe"]["budget"], "budget", shown=differs),
        NUM_PARAMS,
        Column("num_seeds", lambda row: len(row.ok), "seeds", text=number),
        Column(
            "test_top1_pct", mean("metrics.test_top1_pct"), "test top-1", "%", note=values.top1_note, better="higher",
            text=values.top1_text, beside=("test_top1_low_pct", "test_top1_high_pct", "interval_95"),
        ),
        Column("test_top1_low_pct", lambda row: values.interval(row)[0], unit="%"),
        Column("test_top1_high_pct", lambda row: values.interval(row)[1], unit="%"),
        Column("interval_95", lambda row: values.interval(row)[2]),
        Column(
            "val_top1_pct", mean(lambda run: run.history[-1]["val_top1_pct"] if run.history else None),
            "val top-1", "%", text=partial(number, decimals=2), better="higher", shown=is_known,
        ),
        Column("test_nll", mean("metrics.test_nll"), "test NLL", text=partial(number, decimals=3), better="lower"),
        Column("macro_f1", mean("metrics.macro_f1"), "macro F1", text=partial(number, decimals=4), better="higher"),
        TRAIN_S,
        word_column("status", values.status, "status"),
        CONFIG_KEY,
        word_column(
            "group", lambda row: (letters or {}).get(row.config_key), "group", shown=is_known, after="test_top1_pct"
        ),
    )  # fmt: skip


def latency_columns(batch: str) -> tuple[Column, ...]:
    """Latency percentiles of one batch size, such as `batch_1`."""
    size, cuts = batch.replace("_", " "), ("p50", "p95", "p99")
    title = f"latency p50 / p95 / p99 ({escape(size)}), ms"
    merged = Merged(title, tuple(f"latency_{batch}_{cut}_ms" for cut in cuts), values.cuts_text)
    return tuple(
        Column(
            key, middle(f"latency.{batch}.{cut}_ms"), f"latency {cut} ({size})", "ms", name=f"latency, {size}",
            better="lower", merged=merged,
        )
        for key, cut in zip(merged.keys, cuts, strict=True)
    )  # fmt: skip


STEP_PARTS = tuple(
    Column(f"{part}_ms", middle(f"step_shares.{part}_ms"), unit="ms", name=part, better="lower")
    for part in ("forward", "backward", "optimizer")
)
"""Parts of a training step, shown in a separate table."""


def rate_columns(kind: Kind, name: str) -> tuple[Column, ...]:
    """Images per second over runs, with its intervals, and how finely the runs were sampled."""
    key, *bounds = (f"{kind}_{part}img_per_s" for part in ("", "low_", "high_", "next_low_", "next_high_"))
    low, high, next_low, next_high = bounds
    within = f"{kind}_spread_pct"

    def part(attribute: str) -> Callable[[Row], float | None]:
        return lambda row: getattr(row.rates.of(row.ok, kind), attribute, None)

    return (
        Column(
            key, part("mean"), kind, "img/s", name=f"{name} throughput", better="higher", text=values.rate_text,
            beside=(low, high, next_low, within),
        ),
        Column(low, part("low"), unit="img/s"),
        Column(high, part("high"), unit="img/s"),
        Column(
            next_low, part("next_low"), f"{kind}, one more run", "img/s", text=values.next_text,
            beside=(next_high, key), shown=is_known, after=key,
        ),
        Column(next_high, part("next_high"), unit="img/s"),
        Column(within, spread(f"throughput.{kind}_samples_img_per_s"), unit="%", better="lower"),
    )  # fmt: skip


def throughput_columns(batches: Sequence[str]) -> tuple[Column, ...]:
    """Columns of the throughput table: speed, time, memory and energy.

    Args:
        batches: batch sizes with measured latency, such as `batch_1`.
    """
    return (
        *rate_columns("train", "training"),
        *rate_columns("infer", "inference"),
        word_column(
            "train_batch_size", distinct("throughput.train_batch_size"), "train batch",
            merged=Merged("batch (train / infer)", ("train_batch_size", "infer_batch_size"), values.batch_text),
        ),
        word_column("infer_batch_size", distinct("throughput.infer_batch_size"), "infer batch"),
        PRECISION,
        word_column("engine", distinct("execution.engine", "tried"), "engine"),
        Column(
            "first_step_s", most("ledger.first_step_s"), "first step (compile)", "s", better="lower",
            merged=Merged("first step (compile), s", ("first_step_s", "compiler_cache"), values.first_step_text),
        ),
        TRAIN_S,
        Column(
            "train_cpu_us_per_img", middle(train_cpu_us_per_img), "train CPU", "µs/img", better="lower",
            shown=is_known, sparse=True,
        ),
        Column("busy_cores", middle(busy_cores), "busy cores in training", shown=is_known, sparse=True),
        Column("wall_s", mean("ledger.wall_s"), "wall", "s", name="wall time of a run", better="lower"),
        Column(
            "peak_mem_mib", most("memory.peak_mem_mib"), "peak memory", "MiB", text=number, better="lower",
            merged=Merged(
                "peak memory (baseline), MiB", ("peak_mem_mib", "baseline_mem_mib"), values.memory_text
            ),
        ),
        Column("memory_kind", distinct("memory.kind")),
        Column("repeated_ratio", values.repeated_ratio),
        Column(
            "baseline_mem_mib", most("memory.baseline_mem_mib"), "baseline memory", "MiB", text=number,
            after="peak_mem_mib",
        ),
        Column("peak_reserved_mib", most("memory.peak_reserved_mib"), unit="MiB", better="lower"),
        word_column(  # of the first run, which is the one that finds it cold
            "compiler_cache", lambda row: next((run.compilation["cache"] for run in row.ok if run.compilation), None),
            "compiler cache", after="first_step_s",
        ),
        Column("num_graph_breaks", most("compilation.num_graph_breaks"), better="lower"),
        Column("num_recompiles", most("compilation.num_recompiles"), better="lower"),
        Column(
            "train_j_per_1000_img", middle("energy.train_j_per_1000_img"), "J per 1,000 training images",
            better="lower", shown=is_known,
        ),
        Column("run_j", middle("energy.run_j"), unit="J", better="lower"),
        *STEP_PARTS,
        Column("train_knee_batch", lambda row: swept["train_knee"] if (swept := values.last_sweep(row)) else None),
        Column("infer_knee_batch", lambda row: swept["infer_knee"] if (swept := values.last_sweep(row)) else None),
        *(column for batch in batches for column in latency_columns(batch)),
        *(
            Column(f"gemm_{name}_tflop_per_s", middle(f"roofline.gemm_tflop_per_s.{name}"), unit="TFLOP/s")
            for name in GEMM_PRECISIONS
        ),
        Column("copy_gb_per_s", middle("roofline.copy_gb_per_s"), unit="GB/s"),
        Column("status", values.status),  # the accuracy table shows it
        Column("flags", values.flags),
        CONFIG_KEY,
    )  # fmt: skip


COST: tuple[Column, ...] = (
    NUM_PARAMS,
    Column("forward_gmacs", middle("cost.forward_gmacs", "records"), "forward", "GMACs/image"),
    Column("forward_gflops", middle("cost.forward_gflops", "records"), "forward", "GFLOPs/image"),
    Column("training_gflops", middle("cost.training_gflops", "records"), "training", "GFLOPs/image"),
    Column("step_traffic_bytes", of_bound(lambda bound: bound.total_bytes)),
    PRECISION,
    Column(
        "train_tflop_per_s", of_bound(lambda bound: bound.achieved_tflop_per_s), "achieved in training", "TFLOP/s",
        better="higher",
    ),
    Column("train_mfu_pct", of_bound(lambda bound: bound.mfu_pct), "MFU", "%", better="higher"),
    Column(
        "train_flop_per_byte", of_bound(lambda bound: bound.flop_per_byte), "FLOP/byte",
        name="arithmetic intensity of a training step, FLOP/byte",
    ),
    Column("train_bound_tflop_per_s", of_bound(lambda bound: bound.bound_tflop_per_s), unit="TFLOP/s"),
    Column("train_bound_pct", of_bound(lambda bound: bound.bound_pct), "of roofline bound", "%", better="higher"),
    Column(
        "infer_tflop_per_s", middle(lambda run: infer_tflop_per_s(run.cost, run.throughput)), unit="TFLOP/s",
        better="higher",
    ),
    Column("infer_mfu_pct", middle(infer_mfu_pct), unit="%", better="higher"),
    CONFIG_KEY,
)  # fmt: skip
"""Counted work per image, and achieved speed relative to the measured peak of the device."""

COLUMNS: Mapping[str, Column] = {
    column.key: column for column in (*throughput_columns(("batch_1",)), *accuracy_columns(), *COST)
}
"""By key."""
