"""`--json`: a sweep as events, one JSON object a line on standard output, and nothing else there.

    sweep_started  run_started  phase  steps  epoch  run_finished  note  sweep_finished

Models are tried first, each with a note; then a sweep says `sweep_started`, and `sweep_finished` last, also after
Ctrl-C; each run says `run_started` and `run_finished`, and in between its phases, its epochs, and about once a second
how far it is within one. Comparisons of arms come after the runs, as notes. Errors and what libraries print go to
standard error. Bad options end the command without `sweep_started`, with exit code 2.

The types below are the schema: an event has exactly these fields. Names carry units, times are UTC, and what isn't
known is null. `schema_version` changes when a field is renamed, removed, or means something else; a field or an event
may be added without, so leave alone what you don't know.
"""

from __future__ import annotations

from typing import TypedDict

from benchmarks.records.schema import Status
from benchmarks.sweep.job import Phase

EVENTS_VERSION = 1


class Event(TypedDict):
    """What every event has: its kind, and when it happened (`2026-11-21T21:00:00.123Z`)."""

    event: str
    time_utc: str


class RunEvent(Event):
    """An event of one run: `variant` and `seed` together tell it from the others of the sweep."""

    variant: str
    seed: int


class PlannedRun(TypedDict):
    """A run that the sweep will do; `config_key` is its configuration's identity, the same in its record."""

    variant: str
    seed: int
    model: str
    config_key: str
    budget: str
    batch_size: int


class SweepStarted(Event):
    """The plan, without the `num_runs_skipped` that are done already; `num_comparisons` are those of arms."""

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
    """The run does something else from now on."""

    phase: Phase


class Trained(RunEvent):
    """How far a training is; `epoch` counts from 1.

    `num_epochs`, `scheduled_steps` and `train_left_s` are what is planned so far; under a budget in seconds the plan
    is corrected on the way. `num_steps`, `train_s` and `train_img_per_s` are of all epochs so far.
    """

    epoch: int
    num_epochs: int | None
    num_steps: int
    scheduled_steps: int
    train_s: float
    train_img_per_s: float | None
    train_left_s: float | None


class StepsDone(Trained):
    """Within an epoch, at most once a second: `step` of its `epoch_steps` are done."""

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
    """The main figures of a run; all of them are in `runs/<run_id>.json`. `train_img_per_s` is the steady state's."""

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
    """What else people should know: what is done beside the runs, and warnings."""

    text: str


class RankedRow(TypedDict):
    """A row: means over its runs that are ok, and the 95% interval of the accuracy; `interval_95` is its kind.

    Rows that share a letter can't be told apart; null where there is no verdict. `num_runs_at_chance` are not clearly
    better than guessing. `train_img_per_s` is the steady state's, the geometric mean over runs, with its 95% interval
    (`low` and `high`, null for a single run) and the 95% prediction interval of one more run (`next_low` and
    `next_high`, null where nothing is known of other runs).
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
    """Rows that may be compared, the best test accuracy first, and in words how sure that order is.

    `chance_pct` is the accuracy of whoever always names the most frequent class.
    """

    conditions: str
    chance_pct: float
    rows: list[RankedRow]
    verdict: str | None


class FlagCount(TypedDict):
    """How many runs have a flag of a kind, and what to do about it, else what one of them says."""

    kind: str
    num_runs: int
    text: str


class SweepFinished(Event):
    """How it ended, and what it found; `exit_code` is the command's, `complete` says whether all of the plan is ok.

    Rankings and flags are over the runs that were done before, too.
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
