"""Row values that need more than one number per run, and cells that combine several values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import BatchSweep
from benchmarks.report.cells import Entry, Over, word
from benchmarks.report.rows import Row
from benchmarks.report.text import MISSING, escape, number, rounded, significant
from benchmarks.stats.intervals import mean_t_interval, wilson_interval
from benchmarks.stats.rates import spread_pct

T_INTERVAL = "t over seeds"
WILSON_INTERVAL = "binomial (Wilson) over test images"
_TOP1_NOTES = {
    frozenset({T_INTERVAL}): " (± 95% t interval over seeds)",
    frozenset({WILSON_INTERVAL}): " (95% binomial interval)",
    frozenset({T_INTERVAL, WILSON_INTERVAL}): " (95% interval)",
    frozenset[str](): "",
}


def interval(row: Row) -> tuple[float | None, float | None, str | None]:
    """The 95% interval of a row's test accuracy in percent, and its kind."""
    top1 = row.test_top1_pct
    if len(top1) > 1:
        return *mean_t_interval(top1), T_INTERVAL
    if not top1:
        return None, None, None
    num_images = num_test_images(row.ok[0])
    low, high = wilson_interval(round(top1[0] / 100 * num_images), num_images)
    return 100 * low, 100 * high, WILSON_INTERVAL


def num_test_images(record: RunRecord) -> int:
    """Number of test images of a run."""
    assert record.metrics is not None
    return sum(map(sum, record.metrics["confusion_matrix"]))


def distinct(found: Iterable[Any]) -> str | None:
    """Distinct values joined as text; None if there are none."""
    return ", ".join(dict.fromkeys(map(str, found))) or None


def status(row: Row) -> str:
    """`ok`, or the failures and the number of successful runs."""
    wrong = sorted({record.status for record in row.records} - {"ok"})
    return f"{', '.join(wrong)} ({len(row.ok)}/{len(row.records)} ok)" if wrong else "ok"


def flags(row: Row) -> str | None:
    """Distinct flags of a row's runs, with evidence."""
    found = (flag for record in row.records for flag in record.flags)
    return "; ".join(dict.fromkeys(f"{flag['kind']}: {flag['evidence']}" for flag in found)) or None


def timed_batches(row: Row) -> list[str]:
    """Batch sizes with measured latency, such as `batch_1`, in ascending order."""
    return sorted({name for record in row.ok for name in record.latency or ()}, key=lambda name: (len(name), name))


def last_sweep(row: Row) -> BatchSweep | None:
    """The latest sweep over batch sizes."""
    return next((record.batch_sizes for record in reversed(row.ok) if record.batch_sizes), None)


def widest_spread_pct(samples_of_runs: Iterable[Sequence[float]]) -> float | None:
    """That of the run whose median is known the least."""
    return max((spread for samples in samples_of_runs if (spread := spread_pct(samples)) is not None), default=None)


def repeated_ratio(row: Row) -> float | None:
    """Training throughput over that of the run before it with the same seed and software, the largest departure of all.

    None where no run was made again: other versions or sources are another measurement.
    """
    ratios = (_repeated(row, record) for record in row.ok)
    return max((ratio for ratio in ratios if ratio is not None), key=lambda ratio: abs(ratio - 1), default=None)


def _repeated(row: Row, record: RunRecord) -> float | None:
    """Throughput over that of the run that was replaced, if that is one of the same software and measured, too."""
    speed = Over(median, "throughput.train_img_per_s").of_run
    mine = speed(record)
    before = [
        speed(run)
        for run in row.replaced
        if run.seed == record.seed
        and run.environment["software"] == record.environment["software"]
        and run.environment["details"] == record.environment["details"]
    ]
    return mine / before[-1] if mine and before and before[-1] else None


def interval_kinds(rows: Sequence[Entry]) -> frozenset[str]:
    """The kinds of interval in an accuracy frame."""
    return frozenset(kind for row in rows if (kind := row["interval_95"]) is not None)


def top1_note(rows: Sequence[Entry]) -> str:
    """Suffix of the accuracy heading that names the interval."""
    return _TOP1_NOTES[interval_kinds(rows)]


def top1_text(mean: float | None, low: float, high: float, kind: str) -> str:
    """`92.31 ± 0.21` for the interval over seeds, `92.31 [91.77, 92.82]` for the binomial one: it isn't symmetric."""
    if mean is None:
        return MISSING
    return f"{mean:.2f} ± {(high - low) / 2:.2f}" if kind == T_INTERVAL else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def rate_digits(mean: float | None, next_low: float | None) -> str:
    """`9,700`: a rate with the digits that the prediction interval of one more run allows; two where there is none."""
    return MISSING if mean is None else rounded(mean, None if next_low is None else mean - next_low)


def rate_texts(row: Entry) -> dict[str, str]:
    """The rates of a throughput frame's row, by column, without their intervals."""
    kinds = ("train", "infer")
    return {
        f"{kind}_img_per_s": rate_digits(row[f"{kind}_img_per_s"], row[f"{kind}_next_low_img_per_s"]) for kind in kinds
    }


def rate_text(
    mean: float | None, low: float | None, high: float | None, next_low: float | None, within_pct: float | None
) -> str:
    """`9,700 [9,200, 10,100]`, the mean of several runs and its interval, or `9,700 (one run, 1.2% within it)`."""
    if mean is None or low is None or high is None:
        within = "" if within_pct is None else f", {within_pct:.1f}% within it"
        return rate_digits(mean, next_low) + ("" if mean is None else f" (one run{within})")
    half = None if next_low is None else mean - next_low
    return f"{rate_digits(mean, next_low)} [{rounded(low, half)}, {rounded(high, half)}]"


def next_text(next_low: float | None, next_high: float | None, mean: float | None) -> str:
    """`8,100 to 11,600`: the prediction interval of one more run."""
    if mean is None or next_low is None or next_high is None:
        return MISSING
    return " to ".join(rounded(bound, mean - next_low) for bound in (next_low, next_high))


def batch_text(train: str | None, infer: str | None) -> str:
    """`256 / 1024`."""
    return MISSING if train is None and infer is None else f"{word(train)} / {word(infer)}"


def first_step_text(seconds: float | None, cache: str | None) -> str:
    """Seconds, with the state of the compiler cache if anything was compiled; Markdown."""
    return significant(seconds) + (f" ({escape(cache)})" if cache else "")


def memory_text(peak: float | None, before: float | None) -> str:
    """`812 (540)`: peak, and baseline before the model was built."""
    return number(peak) + ("" if before is None else f" ({number(before)})")


def cuts_text(*cuts: float | None) -> str:
    """Percentiles: `0.457 / 0.6 / 0.9`."""
    return MISSING if cuts[0] is None else " / ".join(map(significant, cuts))
