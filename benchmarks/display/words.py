"""A sweep in words: the same in every display, with nothing in them that a terminal would act upon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.display.state import RunView, SweepState
from benchmarks.record import RunRecord


def epoch_words(run: RunView, left_s: float | None) -> str:
    """The last epoch of a run: losses and accuracies of training and validation, time so far, speed, and time left."""
    stats = run.epoch
    assert stats is not None, "no epoch has ended"
    of = "" if run.num_epochs is None else f" of {run.num_epochs}"
    words = [
        f"epoch {stats['epoch']}{of}",
        f"training loss {figure(stats['train_loss'], '.4f')}, accuracy {figure(stats['train_top1_pct'], '.2f')}%",
    ]
    if stats["val_top1_pct"] is not None:
        words.append(f"validation loss {figure(stats['val_loss'], '.4f')}, accuracy {stats['val_top1_pct']:.2f}%")
    words.append(f"{figure(stats['elapsed_s'], '.1f')} s of training, {figure(run.train_img_per_s, ',.0f')} img/s")
    if left_s is not None:
        words.append(f"about {duration(left_s)} left")
    return "; ".join(words)


def result_words(record: RunRecord) -> str:
    """A run's end: its scores, or what went wrong."""
    if record.status != "ok" or record.metrics is None or record.throughput is None or not record.history:
        return f"{record.status}: {error_line(record)}"
    return (
        f"training loss {figure(record.history[-1]['train_loss'], '.4f')}, "
        f"test loss {figure(record.metrics['test_nll'], '.4f')}, "
        f"test accuracy {record.metrics['test_top1_pct']:.2f}%; "
        f"{figure(record.throughput['train_img_per_s'], ',.0f')} img/s training; "
        f"{figure(record.ledger['wall_s'], '.1f')} s in all"
    )


def error_line(record: RunRecord) -> str:
    """The first line of what went wrong."""
    return visible((record.error or "no metrics").strip().partition("\n")[0])


def summary(sweep: SweepState, machine_dir: Path, *, each: Sequence[RunRecord]) -> str:
    """How many runs of a sweep are ok, done before or now, and where the tables are, if there are any.

    Args:
        sweep: at its end.
        machine_dir: the machine's folder of results.
        each: the runs that get a line of their own.
    """
    records, left = sweep.all_records, len(sweep.runs) - len(sweep.records)
    good = sum(record.status == "ok" for record in records)
    return "\n".join(
        [
            f"{good} of {len(records)} runs ok" + (f", {left} not done" if left else ""),
            *(f"  {visible(record.variant)} seed {record.seed}: {result_words(record)}" for record in each),
            *([f"tables: {machine_dir / 'README.md'}"] if records else []),
        ]
    )


def figure(value: float | None, form: str) -> str:
    """A number; a dash where there is none."""
    return "-" if value is None else f"{value:{form}}"


def duration(seconds: float | None) -> str:
    """Seven characters at most: `8.2s`, `42s`, `3m 05s`, `2h 10m`; a dash where it isn't known."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{max(seconds, 0.1):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m" if whole < 360_000 else f"{whole // 3600}h"


def visible(text: str) -> str:
    """Text with control characters, and those that turn writing around, spelled out as in a Python literal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
