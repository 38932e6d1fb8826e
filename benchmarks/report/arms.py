"""Comparisons of arms, one table per model: speed, memory, compilation and numerical equivalence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from benchmarks.records.arms import Arm, ArmsRecord, FirstStep
from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord
from benchmarks.records.row_labels import variant_labels
from benchmarks.report.cells import Frame, by_variant
from benchmarks.report.text import MISSING, escape, number, protocol, significant, table
from benchmarks.stats.intervals import mean_t_interval, paired_ratio

MARGIN_PCT = 0.3
"""Equivalence margin in points of test accuracy."""
TOST_LEVEL = 0.90
"""Two one-sided tests at 5% pass exactly where the 90% interval lies within the margin.

Schuirmann (1987), A comparison of the two one-sided tests procedure, J. Pharmacokinetics and Biopharmaceutics
15:657-680."""
CAPTION = (
    "Arms of a model took turns in one process for {rounds} rounds; speed-up, memory ratio and top-1 difference are "
    "relative to fp32 eager, errors to fp64. Top-1 is equivalent if the 90% interval lies within ±0.3 points, "
    f"different if it lies outside, else open (more seeds needed). {protocol('measuring.md#precision-and-engine')}"
)


_Where = tuple[Machine, str]
"""A machine and a version of torch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Equivalence:
    """Difference in test accuracy from the reference arm, paired by seed, in points."""

    difference_pct: float
    low_pct: float | None
    high_pct: float | None
    num_seeds: int

    @property
    def verdict(self) -> str:
        """`equivalent`, `different` (the interval lies beyond the margin) or `open`."""
        if self.low_pct is None or self.high_pct is None:
            return "open"
        if self.low_pct > -MARGIN_PCT and self.high_pct < MARGIN_PCT:
            return "equivalent"
        return "different" if self.low_pct > MARGIN_PCT or self.high_pct < -MARGIN_PCT else "open"


def latest(comparisons: Sequence[ArmsRecord]) -> list[ArmsRecord]:
    """The latest comparison of each set of arms on each machine, by model."""
    by_key = {
        (record.key, Machine.of(record.environment)): record
        for record in sorted(comparisons, key=lambda record: record.started_at)
    }
    return sorted(by_key.values(), key=lambda record: (record.config["device"], record.family, record.comparison_id))


def arms_frame(comparisons: Sequence[ArmsRecord], records: Sequence[RunRecord]) -> Frame:
    """A row for each arm of one machine's comparisons, with memory and accuracy of its runs with the same torch."""
    runs: dict[_Where, dict[str, dict[int, RunRecord]]] = defaultdict(lambda: defaultdict(dict))
    for record in sorted(records, key=lambda record: record.run_id):
        if record.status == "ok":
            runs[_where(record)][record.config_key][record.seed] = record
    labels = variant_labels([record.config for record in comparisons])
    return [
        _row(record, arm, label, runs[_where(record)])
        for record, label in zip(comparisons, labels, strict=True)
        for arm in record.arms
    ]


def _where(record: RunRecord | ArmsRecord) -> _Where:
    """Machine and version of torch of a record."""
    return Machine.of(record.environment), record.environment["software"]["torch"]


def by_machine(comparisons: Sequence[ArmsRecord]) -> dict[Machine, list[ArmsRecord]]:
    """The comparisons of each machine."""
    found: dict[Machine, list[ArmsRecord]] = defaultdict(list)
    for record in comparisons:
        found[Machine.of(record.environment)].append(record)
    return found


def arms_section(comparisons: Sequence[ArmsRecord], records: Sequence[RunRecord], *, floor: str, on: str = "") -> str:
    """The tables of one machine's comparisons with their caption, as Markdown.

    Args:
        comparisons: one for each set of arms.
        records: of runs.
        floor: a sentence on the machine's noise floor.
        on: suffix of the heading that names the machine, if the page has several.
    """
    frame = arms_frame(comparisons, records)
    rounds = sorted({len(arm["samples_step_ms"]) for record in comparisons for arm in record.arms if not arm["error"]})
    caption = CAPTION.format(rounds=" or ".join(map(str, rounds)) or "no")
    parts = [f"## Precision and engine{on}", caption]
    for label, rows in by_variant(frame).items():
        parts += [f"### {escape(label)}", _table(rows)]
        parts += _notes(rows)
    return "\n\n".join([*parts, floor])


def failures(comparisons: Sequence[ArmsRecord], records: Sequence[RunRecord]) -> dict[str, str]:
    """Footnotes for arms that fail parity or equivalence, by configuration key."""
    frame = arms_frame(comparisons, records)
    found = {}
    for row in frame:
        if row["parity"] is False:
            found[row["config_key"]] = (
                f"Fails parity: RMS error of one step relative to fp64 is {significant(row['logits_rms'])} in logits "
                f"and {significant(row['gradients_rms'])} in gradients."
            )
        elif row["top1_verdict"] == "different":
            found[row["config_key"]] = (
                f"Not equivalent to fp32 eager: test accuracy differs by {row['top1_difference_pct']:+.2f} points "
                f"(90% interval {row['top1_low_pct']:+.2f} to {row['top1_high_pct']:+.2f})."
            )
    return found


def equivalence(arm: Mapping[int, RunRecord], reference: Mapping[int, RunRecord]) -> Equivalence | None:
    """Difference in test accuracy over common seeds; None if there are none."""
    seeds = sorted(set(arm) & set(reference))
    differences = [_top1(arm[seed]) - _top1(reference[seed]) for seed in seeds]
    if not differences:
        return None
    low, high = mean_t_interval(differences, level=TOST_LEVEL) if len(differences) > 1 else (None, None)
    return Equivalence(difference_pct=fmean(differences), low_pct=low, high_pct=high, num_seeds=len(differences))


def break_even_epochs(
    first: FirstStep | None, eager_first_s: float | None, saved_epoch_s: float | None
) -> float | None:
    """Epochs until compilation has paid for itself; infinity if it never does, None if an argument is unknown.

    Args:
        first: first step of the compiled arm.
        eager_first_s: first step of the eager arm, in seconds.
        saved_epoch_s: seconds saved per epoch.
    """
    if first is None or eager_first_s is None or saved_epoch_s is None:
        return None
    extra_s = max(0.0, first["first_step_s"] - eager_first_s)
    return extra_s / saved_epoch_s if saved_epoch_s > 0 else float("inf")


def _row(record: ArmsRecord, arm: Arm, label: str, runs: Mapping[str, Mapping[int, RunRecord]]) -> dict[str, Any]:
    reference = record.arms[0]
    ratio = None
    if arm["samples_step_ms"] and reference["samples_step_ms"]:
        ratio = paired_ratio(arm["samples_step_ms"], reference["samples_step_ms"])
    own, base = runs.get(arm["config_key"], {}), runs.get(reference["config_key"], {})
    memory, base_memory = _memory(own), _memory(base)
    same = None if arm is reference else equivalence(own, base)
    parity, compilation = arm["parity"], arm["cold"]["compilation"] if arm["cold"] else None
    config = record.config
    return {
        "dataset": config["dataset"],
        "track": config["track"],
        "num_train": config["num_train"],
        "num_val": config["num_val"],
        "budget": config["recipe"]["budget"],
        "variant": label,
        "model": record.model,
        "precision": arm["precision"],
        "engine": arm["engine"],
        "ran_engine": arm["ran_engine"],
        "step_ms": median(arm["samples_step_ms"]) if arm["samples_step_ms"] else None,
        "speedup": ratio.median if ratio else None,
        "speedup_low": ratio.low if ratio else None,
        "speedup_high": ratio.high if ratio else None,
        "num_rounds": len(arm["samples_step_ms"]),
        "peak_mem_mib": memory,
        "memory_ratio": memory / base_memory if memory and base_memory else None,
        **_compiling(record, arm, runs),
        "num_graph_breaks": compilation["num_graph_breaks"] if compilation else None,
        "num_recompiles": compilation["num_recompiles"] if compilation else None,
        "logits_rms": parity["logits_rms"] if parity else None,
        "logits_max": parity["logits_max"] if parity else None,
        "gradients_rms": parity["gradients_rms"] if parity else None,
        "gradients_max": parity["gradients_max"] if parity else None,
        "parity": parity["passed"] if parity else None,
        "top1_difference_pct": same.difference_pct if same else None,
        "top1_low_pct": same.low_pct if same else None,
        "top1_high_pct": same.high_pct if same else None,
        "num_seeds": same.num_seeds if same else len(base),
        "top1_verdict": same.verdict if same else None,
        "note": arm["error"] or arm["fallback"],
        "config_key": arm["config_key"],
    }


def _compiling(record: ArmsRecord, arm: Arm, runs: Mapping[str, Mapping[int, RunRecord]]) -> dict[str, float | None]:
    """First steps with cold and warm cache, and the epochs to break even."""
    eager = next((a for a in record.arms if (a["precision"], a["engine"]) == (arm["precision"], "eager")), None)
    saved_epoch_s = eager_first_s = None
    if eager and eager["samples_step_ms"] and arm["samples_step_ms"] and record.steps_per_epoch:
        saved_ms = median(eager["samples_step_ms"]) - median(arm["samples_step_ms"])
        saved_epoch_s = saved_ms / 1e3 * record.steps_per_epoch
    if eager:
        first = [run.ledger["first_step_s"] for run in runs.get(eager["config_key"], {}).values()]
        eager_first_s = max((value for value in first if value is not None), default=0.0)
    return {
        "first_step_cold_s": arm["cold"]["first_step_s"] if arm["cold"] else None,
        "first_step_warm_s": arm["warm"]["first_step_s"] if arm["warm"] else None,
        "break_even_cold_epochs": break_even_epochs(arm["cold"], eager_first_s, saved_epoch_s),
        "break_even_warm_epochs": break_even_epochs(arm["warm"], eager_first_s, saved_epoch_s),
    }


def _memory(runs: Mapping[int, RunRecord]) -> float | None:
    """Highest peak over an arm's runs; those without a baseline don't count, since they include leftovers of others."""
    found = [run.memory for run in runs.values() if run.memory and run.memory["baseline_mem_mib"] is not None]
    return max((memory["peak_mem_mib"] for memory in found if memory["peak_mem_mib"] is not None), default=None)


def _top1(record: RunRecord) -> float:
    assert record.metrics is not None
    return record.metrics["test_top1_pct"]


def _table(frame: Frame) -> str:
    headers = [
        "arm", "step, ms", "speed-up [95%]", "memory, MiB (ratio)", "first step cold / warm, s",
        "graph breaks / recompiles",
        "break-even cold / warm, epochs", "logits error", "gradient error", "parity", "top-1 difference [90%]",
        "seeds", "top-1",
    ]  # fmt: skip
    rows = [
        [
            escape(f"{row['precision']} {row['engine']}"),
            significant(row["step_ms"]),
            _speedup(row),
            _memory_cell(row),
            _pair(significant(row["first_step_cold_s"]), significant(row["first_step_warm_s"])),
            _pair(number(row["num_graph_breaks"]), number(row["num_recompiles"])),
            _pair(_epochs(row["break_even_cold_epochs"]), _epochs(row["break_even_warm_epochs"])),
            _error(row["logits_rms"]),
            _error(row["gradients_rms"]),
            {True: "pass", False: "**fail**", None: MISSING}[row["parity"]],
            _difference(row),
            number(row["num_seeds"]),
            row["top1_verdict"] or MISSING,
        ]
        for row in frame
    ]
    return table(headers, rows, words=("parity", "top-1"))


def _notes(frame: Frame) -> list[str]:
    """Errors and fallbacks of arms."""
    lines = [
        f"- {escape(row['precision'])} {escape(row['engine'])}: {escape(row['note'])}" for row in frame if row["note"]
    ]
    return ["\n".join(lines)] if lines else []


def _speedup(row: Mapping[str, Any]) -> str:
    if row["speedup"] is None:
        return MISSING
    interval = "" if row["speedup_low"] is None else f" [{row['speedup_low']:.2f}, {row['speedup_high']:.2f}]"
    return f"{row['speedup']:.2f}{interval}"


def _memory_cell(row: Mapping[str, Any]) -> str:
    ratio = "" if row["memory_ratio"] is None else f" ({row['memory_ratio']:.2f})"
    return f"{number(row['peak_mem_mib'])}{ratio}"


def _pair(first: str, second: str) -> str:
    """Two values in one cell; a single dash if both are missing."""
    return MISSING if first == second == MISSING else f"{first} / {second}"


def _epochs(value: float | None) -> str:
    return MISSING if value is None else "never" if value == float("inf") else significant(value)


def _error(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1e}"


def _difference(row: Mapping[str, Any]) -> str:
    if row["top1_difference_pct"] is None:
        return MISSING
    low, high = row["top1_low_pct"], row["top1_high_pct"]
    interval = "" if low is None else f" [{low:+.2f}, {high:+.2f}]"
    return f"{row['top1_difference_pct']:+.2f}{interval}"
