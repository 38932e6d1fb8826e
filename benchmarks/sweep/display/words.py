"""A sweep in words: the same in every display, with nothing in them that a terminal would act upon."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.sweep.display.base import Display, SweepEnd


def epoch_words(epoch: Mapping[str, Any]) -> str:
    """An epoch's event: losses and accuracies of training and validation, time so far, speed, and time left."""
    words = [
        f"epoch {epoch['epoch']} of {epoch['num_epochs']}",
        f"training loss {figure(epoch['train_loss'], '.4f')}, accuracy {figure(epoch['train_top1_pct'], '.2f')}%",
    ]
    if epoch["val_top1_pct"] is not None:
        words.append(f"validation loss {figure(epoch['val_loss'], '.4f')}, accuracy {epoch['val_top1_pct']:.2f}%")
    words.append(f"{epoch['train_s']:.1f} s of training, {figure(epoch['train_img_per_s'], ',.0f')} img/s")
    if epoch["train_left_s"]:
        words.append(f"about {duration(epoch['train_left_s'])} left")
    return "; ".join(words)


def result_line(record: RunRecord) -> str:
    """A run's end: its scores, or the first line of what went wrong."""
    name, error = f"{record.variant} seed {record.seed}", (record.error or "no metrics").strip().partition("\n")[0]
    if record.status != "ok" or record.metrics is None or record.throughput is None or not record.history:
        return visible(f"{name}: {record.status}: {error}")
    return visible(
        f"{name}: training loss {figure(record.history[-1]['train_loss'], '.4f')}, "
        f"test loss {figure(record.metrics['test_nll'], '.4f')}, accuracy {record.metrics['test_top1_pct']:.2f}%; "
        f"{figure(record.throughput['train_img_per_s'], ',.0f')} img/s training; "
        f"{figure(record.ledger['wall_s'], '.1f')} s in all"
    )


def summary(sweep: Display, end: SweepEnd, *, lines: Iterable[RunRecord] = ()) -> str:
    """How many runs of a sweep are ok, done before or now; a line for each of some; and where the tables are."""
    records, left = [*sweep.plan.skipped, *sweep.records], len(sweep.runs) - len(sweep.records)
    good = sum(record.status == "ok" for record in records)
    return "\n".join(
        [
            f"{good} of {len(records)} runs ok" + (f", {left} not done" if left else ""),
            *(f"  {result_line(record)}" for record in lines),
            *([f"tables: {end.machine_dir / 'README.md'}"] if records else []),
        ]
    )


def figure(value: float | None, form: str) -> str:
    """A number; a dash where there is none."""
    return "-" if value is None else f"{value:{form}}"


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, such as `2:10:05`; a dash where it isn't known."""
    return "-" if seconds is None else str(timedelta(seconds=math.ceil(seconds)))


def visible(text: str) -> str:
    """Text with control characters, and those that turn writing around, spelled out as in a Python literal."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
