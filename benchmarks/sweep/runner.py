"""Executes a plan: one worker process per variant, in turn; a record and updated tables after each run."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import torch

from benchmarks.measure.machine_details import environment_of
from benchmarks.records.arms import ArmsStore, arm_groups
from benchmarks.records.machine import Machine, machine_folder
from benchmarks.records.record import RunRecord, run_id
from benchmarks.records.schema import Environment
from benchmarks.records.store import RecordStore
from benchmarks.report import check_out_dir
from benchmarks.sweep.assemble import assembled, complete_ledger
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display, SweepPlan
from benchmarks.sweep.live_report import Reporting, write_tables
from benchmarks.sweep.plan import Plan, Variant
from benchmarks.sweep.resume import CheckpointFiles, Circumstances, Done, decided, done_before
from benchmarks.sweep.run_once import Attempts, Isolation
from benchmarks.sweep.safekeeping import Safekeeping
from benchmarks.workers.client import NewWorker, Serving, Worker, serving
from benchmarks.workers.server import environment as worker_environment
from benchmarks.workers.signals import Interrupts
from benchmarks.workers.slot import InProcess, Slots
from fmnist_zoo.files import check_writable
from fmnist_zoo.training.determinism import VARIABLES

WORKLOAD = "benchmarks.sweep.training_run:TrainingRuns"
"""Workload of a sweep's worker."""


@dataclass(slots=True)
class Results:
    """Results of a sweep.

    Attributes:
        records: of its runs, including skipped ones.
        comparisons_complete: whether every planned comparison of arms was made.
        interrupted: whether the user or system stopped it early.
        tables_complete: whether the tables include everything.
        all_in_place: whether every result is in the results folder.
    """

    records: list[RunRecord] = field(default_factory=list)
    comparisons_complete: bool = True
    interrupted: bool = False
    tables_complete: bool = True
    all_in_place: bool = True


class Runner:
    """Executes the runs of a plan one by one, then its comparisons of arms.

    Seeds take turns: the first of every variant, then the second; a variant's worker waits for its next one.

    Args:
        plan: to execute.
        options: of the sweep.
        display: told of progress.
        command: the command line, for the records.
        dataset: checksum of the data; None if unknown, which disables resuming.
        new_worker: creates a worker process; a fake in tests.
        isolation: between runs.
    """

    def __init__(
        self,
        plan: Plan,
        options: RunConfig,
        display: Display,
        *,
        command: str,
        dataset: str | None = None,
        new_worker: NewWorker | None = None,
        isolation: Isolation = Isolation(),  # noqa: B008  # it is frozen
    ) -> None:
        self.plan, self.options, self.display, self.isolation = plan, options, display, isolation
        self._command = command
        self._interrupts = Interrupts(display.warn)
        self._new_worker = new_worker or self._usual_worker
        self._variables = VARIABLES if plan.deterministic else {}
        self.environment = self._environment()
        self._arm_groups = arm_groups([(one.config, one.family) for one in plan.variants if one.failure is None])
        self.machine = machine_folder(options.out, Machine.of(self.environment)).name
        check_out_dir(options.out, self.machine)
        self.store = RecordStore(options.out / self.machine)
        check_writable(self.store.runs_dir, "--out", options.out)
        self._conditions = None if dataset is None else Circumstances(environment=self.environment, dataset=dataset)
        self._checkpoints = CheckpointFiles(self.store.machine_dir, self._conditions, options, display.warn)
        self._reporting = Reporting(self._write_tables, display.warn)
        self._safekeeping = Safekeeping(options.out, self.machine, display.warn)
        self._attempts = Attempts(
            plan,
            options,
            environment=self.environment,
            machine_dir=self.store.machine_dir,
            display=display,
            isolation=isolation,
            is_stopping=lambda: self._interrupts.requested,
        )

    def run(self, *, done: Done = Done(), deadline: float | None = None) -> Results:  # noqa: B008  # it is frozen
        """Execute the remaining runs and comparisons; none starts after `deadline`.

        Returns the results, whose records are also in the store. Ctrl-C or a termination signal stops after the current
        run; a second one kills it at once, without a record. With runs in this process the first one aborts the run.
        The tables always have everything finished. A result that can't be written to its place is saved elsewhere.
        """
        results = Results(records=list(done.runs.values()))
        self._attempts.take_over(results.records)
        self.display.sweep_started(self._announced(done))
        with contextlib.nullcontext() if self.isolation.in_process else self._interrupts:
            try:
                if done.runs or done.again:
                    self.display.say(str(done))
                    self._tidy(done)
                self._runs(done, deadline, results.records)
                results.comparisons_complete = self._compare_arms(done, deadline)
            except KeyboardInterrupt:
                results.interrupted = True
            finally:
                results.interrupted |= self._reporting_ends()
        results.interrupted |= self._interrupts.requested
        results.tables_complete = not self._reporting.is_behind
        results.all_in_place = self._safekeeping.all_in_place
        return results

    def _reporting_ends(self) -> bool:
        """Write the final tables; returns whether that was interrupted."""
        try:
            self._reporting.finish()
        except KeyboardInterrupt:
            return True
        return False

    def _write_tables(self) -> None:
        check = (lambda: None) if self.isolation.in_process else self._interrupts.check
        write_tables(self.options.out, self.machine, check)

    def _environment(self) -> Environment:
        in_process = self.isolation.in_process
        variables = dict(os.environ) if in_process else {**worker_environment(), **self._variables}
        num_threads = torch.get_num_threads() if in_process else int(variables["OMP_NUM_THREADS"])
        return environment_of(self.plan.device, num_threads=num_threads, variables=variables)

    def _to_do(self, done: Done) -> list[tuple[Variant, int]]:
        """Remaining runs, in order."""
        runs = [(variant, seed) for seed in self.plan.seeds for variant in self.plan.variants]
        return [(variant, seed) for variant, seed in runs if (variant.key, seed) not in done.runs]

    def _runs(self, done: Done, deadline: float | None, records: list[RunRecord]) -> None:
        """Execute the remaining runs, those of a variant in one worker while it is healthy."""
        to_do = self._to_do(done)
        with Slots(lambda: self._new_worker(self._variables), self.plan.device) as slots:
            for number, (variant, seed) in enumerate(to_do, 1):
                if self._is_over(deadline):
                    return
                record = self._one(variant, seed, slots, records)
                records.append(record)  # at once, so that it is reported even if the next one is aborted
                later = [variant.key for variant, _ in to_do[number:]]
                if variant.key not in later:
                    slots[variant.key].clear()
                elif later[0] != variant.key:
                    slots[variant.key].park()

    def _usual_worker(self, variables: Mapping[str, str]) -> Serving:
        if self.isolation.in_process:
            return InProcess(WORKLOAD)
        return Worker(command=serving(WORKLOAD), variables=variables, interrupts=self._interrupts)

    def _is_over(self, deadline: float | None) -> bool:
        return self._interrupts.requested or (deadline is not None and time.monotonic() > deadline)

    def _compare_arms(self, done: Done, deadline: float | None) -> bool:
        """Compare each model's precisions and engines; returns whether all is done."""
        if not self._arm_groups:
            return True
        if self.isolation.in_process:
            self.display.warn("precisions and engines are not compared: --in-process leaves no worker processes for it")
            return False
        from benchmarks.sweep.arms import ArmSweep

        sweep = ArmSweep(
            self._new_worker,
            environment=self.environment,
            device=self.plan.device,
            data_dir=self.options.data_dir,
            plugins={variant.config["model"]: variant.plugins for variant in self.plan.variants},
            command=self._command,
            say=self.display.say,
            timeout_s=self.isolation.timeout_s,
        )
        for group in self._arm_groups:
            if group.key in done.comparisons:
                continue
            if self._is_over(deadline):
                return False
            comparison = sweep.compare(group)
            self._safekeeping.keep(comparison, lambda folder, record=comparison: ArmsStore(folder).write(record))
            self._reporting.note()
        return True

    def _announced(self, done: Done) -> SweepPlan:
        """The plan for the display."""
        return SweepPlan(
            command=self._command,
            machine=self.machine,
            device=self.plan.device,
            machine_dir=self.store.machine_dir,
            runs=tuple(
                {
                    "variant": variant.label,
                    "seed": seed,
                    "model": variant.config["model"],
                    "config_key": variant.key,
                    "budget": variant.config["recipe"]["budget"],
                    "batch_size": variant.config["recipe"]["batch_size"],
                }
                for variant, seed in self._to_do(done)
            ),
            skipped=tuple(done.runs.values()),
            earlier=tuple(self.store.read_all()[0]),
            num_comparisons=sum(group.key not in done.comparisons for group in self._arm_groups),
        )

    def done_before(self, *, retry_failed: bool, since: str = "") -> Done:
        """What earlier sweeps have done of the plan; see `benchmarks.sweep.resume.done_before`."""
        assert self._conditions is not None, "the data has to be known"
        return done_before(
            self.plan,
            self._conditions,
            self.store.read_all()[0],
            ArmsStore(self.store.machine_dir).read_all()[0],
            retry_failed=retry_failed,
            since=since,
            kept=[
                name
                for name, is_asked in (("weights", self.options.save_weights), ("profile", self.options.profile))
                if is_asked
            ],
        )

    def _tidy(self, done: Done) -> None:
        """Clean up after a kill right after a record: outdated tables, leftover checkpoint."""
        for variant in self.plan.variants:
            for seed in self.plan.seeds:
                if (record := done.runs.get((variant.key, seed))) is not None:
                    self._checkpoints.forget(variant, record)
        self._reporting.note()

    def _one(self, variant: Variant, seed: int, slots: Slots, records: Sequence[RunRecord]) -> RunRecord:
        """Execute one run and keep its record."""
        started_at = datetime.now(UTC)
        name = run_id(started_at, variant.config["model"], variant.key, seed)
        self.display.run_started(variant.label, seed)
        result = self._attempts.run(
            variant,
            seed,
            name,
            slots,
            decided=decided(variant, records),
            checkpoint=self._checkpoints.job(variant, seed),
        )
        about = {
            "run_id": name, "started_at": started_at, "command": self._command, "environment": self.environment
        }  # fmt: skip
        record = assembled(variant, seed, result, **about)
        try:
            in_place = self._keep(record)
        except ValueError as error:
            message = f"the worker returned an invalid record: {error}"
            ledger = complete_ledger(None, None, result["ledger"]["wall_s"])
            record = assembled(variant, seed, {"status": "failed", "error": message, "ledger": ledger}, **about)
            in_place = self._keep(record)
        if in_place:
            self._checkpoints.forget(variant, record)
        self._reporting.note()
        self.display.run_finished(record)
        return record

    def _keep(self, record: RunRecord) -> bool:
        """Keep a record; returns whether it is in its place. ValueError if it doesn't fit the schema."""
        return self._safekeeping.keep(record, lambda folder: RecordStore(folder).write(record))
