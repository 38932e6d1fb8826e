"""The display of `--json`: writes the events that `benchmarks.display.events` describes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TextIO

from benchmarks.display.base import Display
from benchmarks.display.events import EVENTS_VERSION, EpochEnded, EventKind, PlannedRunFields
from benchmarks.display.output import output_for_events, write_json
from benchmarks.display.plan import SweepEnd
from benchmarks.display.state import Phase
from benchmarks.record import RunRecord, plain
from fmnist_zoo.history import EpochStats


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
