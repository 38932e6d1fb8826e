"""`--json`: a sweep as events, one JSON object a line on standard output, and nothing else there.

    sweep_started  run_started  phase  epoch  run_finished  note  sweep_finished

A sweep that begins says `sweep_started` first and `sweep_finished` last, also after Ctrl-C; each run says `run_started`
and `run_finished`, and in between its phases and epochs. Comparisons of arms come after the runs, as notes. Errors
and what libraries print go to standard error. Bad options end the command before any
event, with exit code 2.

The types below are the schema: an event has exactly these fields. Names carry units, times are UTC, and what isn't
known is null. `schema_version` changes when a field is renamed, removed, or means something else; a field or an event
may be added without, so leave alone what you don't know.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, Self, TextIO, TypedDict

from benchmarks.display.base import Display
from benchmarks.display.output import output_for_events, write_json
from benchmarks.display.plan import SweepEnd
from benchmarks.display.state import EpochStats, Phase
from benchmarks.record import RunRecord, plain
from benchmarks.schema import Status

EVENTS_VERSION = 1


class Event(TypedDict):
    """What every event has: its kind, and when it happened (`2026-11-21T21:00:00.123Z`)."""

    event: str
    time_utc: str


class RunEvent(Event):
    """An event of one run: `variant` and `seed` together tell it from the others of the sweep."""

    variant: str
    seed: int


class PlannedRunFields(TypedDict):
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
    runs: list[PlannedRunFields]


class RunStarted(RunEvent):
    """`run_number` counts from 1."""

    model: str
    run_number: int
    num_runs: int


class PhaseStarted(RunEvent):
    """The run does something else from now on."""

    phase: Phase


class EpochEnded(RunEvent):
    """Figures of an epoch, which counts from 1.

    `num_epochs`, `scheduled_steps` and `train_left_s` are what is planned so far; under a budget in seconds the plan
    is corrected on the way. Losses are cross-entropies in nats; `train_s` and `train_img_per_s` are over all
    epochs so far.
    """

    epoch: int
    num_epochs: int | None
    num_steps: int
    scheduled_steps: int
    train_loss: float | None
    train_top1_pct: float | None
    val_loss: float | None
    val_top1_pct: float | None
    lr: float | None
    train_s: float
    train_img_per_s: float | None
    train_left_s: float | None


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


class SweepFinished(Event):
    """How it ended; `exit_code` is the command's, `complete` says whether all that was planned is done and ok."""

    exit_code: int
    complete: bool
    num_runs_ok: int
    num_runs_not_ok: int
    machine_dir: str
    tables: str
    wall_s: float | None


EventKind = Literal["sweep_started", "run_started", "phase", "epoch", "run_finished", "note", "sweep_finished"]
EVENTS: dict[EventKind, type] = {
    "sweep_started": SweepStarted,
    "run_started": RunStarted,
    "phase": PhaseStarted,
    "epoch": EpochEnded,
    "run_finished": RunFinished,
    "note": Note,
    "sweep_finished": SweepFinished,
}
"""The type of each kind of event."""


class JsonDisplay(Display):
    """Events as JSON lines.

    Args:
        stream: where; if not given, standard output, which is then closed to everything else while this is entered.
        clock: seconds, monotonic.
        now: the time, with its zone.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(clock=clock)
        self._stream, self._now = stream, now
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        if self._stream is None:
            self._stream = self._exit.enter_context(output_for_events())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, value, trace)
        self._exit.close()

    def on_sweep_started(self) -> None:
        plan = self.sweep.plan
        runs: list[PlannedRunFields] = [
            {
                "variant": run.variant, "seed": run.seed, "model": run.model, "config_key": run.config_key,
                "budget": run.budget, "batch_size": run.batch_size,
            }
            for run in plan.runs
        ]  # fmt: skip
        self._emit(
            "sweep_started",
            schema_version=EVENTS_VERSION,
            command=plan.command,
            machine=plan.machine,
            device=plan.device,
            num_runs=len(runs),
            num_runs_skipped=plan.num_skipped,
            num_comparisons=plan.num_comparisons,
            runs=runs,
        )

    def on_run_started(self) -> None:
        run = self.sweep.running
        assert run is not None
        number = len(self.sweep.records) + 1
        self._emit_of_run("run_started", model=run.planned.model, run_number=number, num_runs=len(self.sweep.runs))
        self._emit_of_run("phase", phase=run.state)

    def on_phase(self, phase: Phase) -> None:
        self._emit_of_run("phase", phase=phase)

    def on_epoch(self, stats: EpochStats) -> None:
        run = self.sweep.running
        assert run is not None
        self._emit_of_run(
            "epoch",
            **{name: value for name, value in stats.items() if name in EpochEnded.__annotations__},
            num_epochs=run.num_epochs,
            train_s=stats["elapsed_s"],
            train_img_per_s=run.train_img_per_s,
            train_left_s=run.train_left_s,
        )

    def on_run_finished(self, record: RunRecord) -> None:
        metrics, throughput = record.metrics, record.throughput
        self._emit(
            "run_finished",
            variant=record.variant,
            seed=record.seed,
            model=record.model,
            run_id=record.run_id,
            config_key=record.config_key,
            status=record.status,
            error=record.error,
            test_top1_pct=None if metrics is None else metrics["test_top1_pct"],
            test_nll=None if metrics is None else metrics["test_nll"],
            train_img_per_s=None if throughput is None else throughput["train_img_per_s"],
            infer_img_per_s=None if throughput is None else throughput["infer_img_per_s"],
            train_s=record.ledger["train_s"],
            wall_s=record.ledger["wall_s"],
            left_s=self.sweep.left_s(),
        )

    def say(self, text: str) -> None:
        self._emit("note", text=text)

    def warn(self, text: str) -> None:
        self.say(text)

    def sweep_finished(self, end: SweepEnd) -> None:
        records = self.sweep.records
        good = sum(record.status == "ok" for record in records)
        self._emit(
            "sweep_finished",
            exit_code=end.exit_code,
            complete=end.complete,
            num_runs_ok=good,
            num_runs_not_ok=len(records) - good,
            machine_dir=str(end.machine_dir),
            tables=str(end.machine_dir / "README.md"),
            wall_s=self.sweep.elapsed_s,
        )

    def _emit_of_run(self, kind: EventKind, **fields: Any) -> None:
        run = self.sweep.running
        assert run is not None
        self._emit(kind, variant=run.planned.variant, seed=run.planned.seed, **fields)

    def _emit(self, kind: EventKind, **fields: Any) -> None:
        assert self._stream is not None, "enter the display first"
        when = f"{self._now().astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
        write_json(self._stream, plain({"event": kind, "time_utc": when, **fields}))
