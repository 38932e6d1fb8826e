"""`--json`: a sweep as events, one JSON object per line on standard output, which has nothing else.

    sweep_started  run_started  phase  steps  epoch  run_finished  note  sweep_finished

Models are tried first, each with a note. `sweep_started` begins the sweep, `sweep_finished` ends it, even after Ctrl-C.
Each run has `run_started` and `run_finished`, in between its phases, epochs, and about once a second its progress
within an epoch. Comparisons of arms follow the runs, as notes. Errors and library output go to standard error. Invalid
options end the command without `sweep_started`, with exit code 2.

The types below are the schema: an event has exactly these fields. Names carry units, times are UTC, and unknown values
are null. `schema_version` changes when a field is renamed, removed or redefined; fields and events may be added
without, so ignore unknown ones.
"""

from __future__ import annotations

from typing import TypedDict

from benchmarks.records.schema import Status
from benchmarks.sweep.job import Phase

EVENTS_VERSION = 1


class Event(TypedDict):
    """Fields of every event: kind and time (`2026-11-21T21:00:00.123Z`)."""

    event: str
    time_utc: str


class RunEvent(Event):
    """An event of a run, identified within the sweep by `variant` and `seed`."""

    variant: str
    seed: int


class PlannedRun(TypedDict):
    """A planned run; `config_key` identifies its configuration, as in its record."""

    variant: str
    seed: int
    model: str
    config_key: str
    budget: str
    batch_size: int


class SweepStarted(Event):
    """The plan, without `num_runs_skipped` already done; `num_comparisons` counts those of arms."""

    schema_version: int
    command: str
    machine: str
    device: str
    num_runs: int
    num_runs_skipped: int
    num_comparisons: int
    runs: list[PlannedRun]


class RunStarted(RunEvent):
    """`run_number` counts from 1."""

    model: str
    run_number: int
    num_runs: int


class PhaseStarted(RunEvent):
    """Start of a phase of the run."""

    phase: Phase


class Trained(RunEvent):
    """Training progress; `epoch` counts from 1.

    `num_epochs`, `scheduled_steps` and `train_left_s` follow the current plan, which is corrected on the way under a
    budget in seconds. `num_steps`, `train_s` and `train_img_per_s` cover all epochs so far.
    """

    epoch: int
    num_epochs: int | None
    num_steps: int
    scheduled_steps: int
    train_s: float
    train_img_per_s: float | None
    train_left_s: float | None


class StepsDone(Trained):
    """Progress within an epoch, at most once a second: `step` of `epoch_steps` are done."""

    step: int
    epoch_steps: int


class EpochEnded(Trained):
    """Figures of an epoch. Losses are cross-entropies in nats."""

    train_loss: float | None
    train_top1_pct: float | None
    val_loss: float | None
    val_top1_pct: float | None
    lr: float | None


class RunFinished(RunEvent):
    """Main figures of a run; all are in `runs/<run_id>.json`. `train_img_per_s` is at steady state."""

    model: str
    run_id: str
    config_key: str
    status: Status
    error: str | None
    test_top1_pct: float | None
    test_nll: float | None
    train_img_per_s: float | None
    infer_img_per_s: float | None
    train_s: float | None
    wall_s: float | None
    left_s: float | None


class Note(Event):
    """Warnings, and progress besides runs."""

    text: str


class RankedRow(TypedDict):
    """A row: means over its ok runs, and the 95% interval of the accuracy; `interval_95` is its kind.

    Rows sharing a letter are not significantly different; null without a verdict. `num_runs_at_chance` are not
    significantly better than guessing. `train_img_per_s` is at steady state, the geometric mean over runs, with its 95%
    interval (`low` and `high`, null for a single run) and the 95% prediction interval of one more run (`next_low` and
    `next_high`, null without other runs to tell it).
    """

    variant: str
    model: str
    config_key: str
    num_runs_ok: int
    num_runs_at_chance: int
    test_top1_pct: float
    test_top1_low_pct: float
    test_top1_high_pct: float
    interval_95: str
    letters: str | None
    train_img_per_s: float | None
    train_low_img_per_s: float | None
    train_high_img_per_s: float | None
    train_next_low_img_per_s: float | None
    train_next_high_img_per_s: float | None


class Ranking(TypedDict):
    """A section's rows, best test accuracy first, and a verdict on that order.

    `chance_pct` is the accuracy of always naming the most frequent class.
    """

    conditions: str
    chance_pct: float
    rows: list[RankedRow]
    verdict: str | None


class FlagCount(TypedDict):
    """Number of runs with a kind of flag, and its advice, else the evidence of one."""

    kind: str
    num_runs: int
    text: str


class SweepFinished(Event):
    """End of the sweep and its findings; `exit_code` is the command's, `complete` means every planned run is ok.

    Rankings and flags include skipped runs.
    """

    exit_code: int
    complete: bool
    num_runs_ok: int
    num_runs_not_ok: int
    rankings: list[Ranking]
    flags: list[FlagCount]
    machine_dir: str
    tables: str
    wall_s: float | None


EVENTS: dict[str, type] = {
    "sweep_started": SweepStarted, "run_started": RunStarted, "phase": PhaseStarted, "steps": StepsDone,
    "epoch": EpochEnded, "run_finished": RunFinished, "note": Note, "sweep_finished": SweepFinished,
}  # fmt: skip
"""The type of each kind of event."""
