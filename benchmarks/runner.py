"""From a plan to records: one worker process a variant, and after each run a record and tables up to date."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.arms.record import ArmsStore
from benchmarks.arms.sweep import ArmSweep, arm_groups
from benchmarks.choices import choice_path
from benchmarks.details import details
from benchmarks.display import Display, SweepPlan, planned_runs
from benchmarks.environment import hardware, machine_name, software
from benchmarks.plan import Plan, Variant
from benchmarks.process import NewWorker, Worker, WorkerDiedError
from benchmarks.record import RunRecord, run_id
from benchmarks.report import check_out_dir, write_report
from benchmarks.resume import Conditions, Done, checkpoint_path, decided, done_before
from benchmarks.roofline import roofline_path
from benchmarks.schema import Cost, Environment, Ledger
from benchmarks.store import RecordStore
from benchmarks.worker import CheckpointJob, Job
from benchmarks.worker import environment as worker_environment
from fmnist_zoo.training.determinism import VARIABLES

PARTS = ("import", "data", "build", "probe", "first_step", "train", "eval", "measure", "profile", "write")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a sweep's results go and its data comes from, what is kept, and the command that its records name.

    Attributes:
        dataset: checksum of the data; None where it isn't known, and then nothing can be resumed.
        checkpoint_every: epochs after which the state of a training is kept; None to keep none.
        resumes: whether a run goes on from a state that an earlier sweep has kept.
    """

    out: Path
    data_dir: Path | None
    save_weights: bool
    profile: bool
    plugins: tuple[Path, ...]
    command: str
    dataset: str | None = None
    checkpoint_every: int | None = None
    resumes: bool = False


@dataclass(slots=True)
class Results:
    """What a sweep has: the records of its runs, with those of before, and whether all arms have been compared."""

    records: list[RunRecord] = field(default_factory=list)
    comparisons_complete: bool = True


def _new_worker(variables: Mapping[str, str]) -> Worker:
    return Worker(_num_threads(), variables=variables)


def _num_threads() -> int:
    """Of a worker, unless a person has set another number: one for each physical core."""
    return psutil.cpu_count(logical=False) or 1


class Runner:
    """Carries out a plan, one run after the other, and then compares the arms that it has.

    Args:
        plan: what to run.
        place: where.
        display: told of everything that happens.
        new_worker: makes a worker process; a fake in tests.
    """

    def __init__(self, plan: Plan, place: Place, display: Display, new_worker: NewWorker = _new_worker) -> None:
        self.plan, self.place, self.display = plan, place, display
        self._new_worker = new_worker
        self._variables = VARIABLES if plan.deterministic else {}
        variables = {**worker_environment(_num_threads()), **self._variables}
        self.environment: Environment = {
            "hardware": hardware(plan.device),
            "software": software(),
            "details": details(plan.device, num_threads=int(variables["OMP_NUM_THREADS"]), variables=variables),
        }
        self._done = Done()
        self.machine = machine_name(self.environment["hardware"])
        check_out_dir(place.out, self.machine)
        self.store = RecordStore(place.out / self.machine)
        self._check_writable()

    def run(self, *, done: Done = Done(), deadline: float | None = None) -> Results:  # noqa: B008  # it is frozen
        """Do every run and comparison that isn't done yet; no new one starts after `deadline`.

        Returns the records of this sweep, also written to the store. Ctrl-C ends the run at hand and raises
        KeyboardInterrupt; what was finished before is in the store and in the tables.
        """
        self._done, results = done, Results(records=list(done.runs.values()))
        self.display.sweep_started(self._announced(done))
        if done.runs or done.again:
            self.display.say(str(done))
            self._tidy(done)
        for variant in self.plan.variants:
            worker: Worker | None = None
            try:
                for seed in self.plan.seeds:
                    if (variant.key, seed) in done.runs or _is_over(deadline):
                        continue
                    worker = worker or self._new_worker(self._variables)
                    record, alive = self._one(variant, seed, worker)
                    results.records.append(record)
                    if not alive:
                        worker.close()
                        worker = None
            finally:
                if worker is not None:
                    worker.close()
        results.comparisons_complete = self._compare_arms(done, deadline)
        return results

    def _compare_arms(self, done: Done, deadline: float | None) -> bool:
        """Compare the precisions and engines of each model that has several; whether all of it is done."""
        sweep = ArmSweep(
            self._new_worker,
            environment=self.environment,
            device=self.plan.device,
            data_dir=self.place.data_dir,
            plugins=self.place.plugins,
            command=self.place.command,
            say=self.display.say,
        )
        for group in arm_groups([(variant.config, variant.family) for variant in self.plan.variants]):
            if group.key in done.comparisons:
                continue
            if _is_over(deadline):
                return False
            ArmsStore(self.place.out / self.machine).write(sweep.compare(group))
            write_report(self.place.out, self.machine)
        return True

    def _announced(self, done: Done) -> SweepPlan:
        """What is about to be done, for the display."""
        groups = arm_groups([(variant.config, variant.family) for variant in self.plan.variants])
        runs = planned_runs(self.plan, done=done.runs, earlier=self.store.read_all()[0])
        return SweepPlan(
            command=self.place.command,
            machine=self.machine,
            device=self.plan.device,
            runs=runs,
            num_skipped=len(done.runs),
            skipped=tuple(done.runs.values()),
            num_comparisons=sum(group.key not in done.comparisons for group in groups),
        )

    def done_before(self, *, retry_failed: bool, since: str = "") -> Done:
        """What earlier sweeps have left of the plan; see `benchmarks.resume.done_before`."""
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
                for name, is_asked in (("weights", self.place.save_weights), ("profile", self.place.profile))
                if is_asked
            ],
        )

    @property
    def _conditions(self) -> Conditions | None:
        dataset = self.place.dataset
        return None if dataset is None else Conditions(environment=self.environment, dataset=dataset)

    def _tidy(self, done: Done) -> None:
        """What a kill between a record and what follows it has left: tables without it, and its checkpoint."""
        for variant in self.plan.variants:
            for seed in self.plan.seeds:
                if (variant.key, seed) in done.runs and (path := self._checkpoint_path(variant, seed)) is not None:
                    path.unlink(missing_ok=True)
        write_report(self.place.out, self.machine)

    def _checkpoint_path(self, variant: Variant, seed: int) -> Path | None:
        if (conditions := self._conditions) is None:
            return None
        return checkpoint_path(self.store.machine_dir, conditions.parts(variant.key, seed, variant.code))

    def _checkpoint(self, variant: Variant, seed: int) -> CheckpointJob | None:
        """Where the run's state is kept; None where it isn't and none is there."""
        path = self._checkpoint_path(variant, seed)
        if path is None:
            return None
        if not self.place.resumes:
            path.unlink(missing_ok=True)  # this run begins anew
        if self.place.checkpoint_every is None and not path.exists():
            return None
        return {"path": str(path), "key": path.stem, "every_epochs": self.place.checkpoint_every}

    def _check_writable(self) -> None:
        """ValueError where no record could be written, before hours are spent on what can't be kept."""
        try:
            self.store.runs_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.store.runs_dir):
                pass
        except OSError as error:
            raise ValueError(f"--out {self.place.out} can't be written to ({error}); name another folder") from error

    def _one(self, variant: Variant, seed: int, worker: Worker) -> tuple[RunRecord, bool]:
        """One run and its record; False where the worker didn't survive it."""
        started_at = datetime.now(UTC)
        name = run_id(started_at, variant.config["model"], variant.key, seed)
        # The model of a plug-in file may change under its name.
        kept = None if self.place.plugins else choice_path(variant.key, self.environment)
        job: Job = {
            "task": "run",
            "config": dict(variant.config),
            "seed": seed,
            "run_id": name,
            "device": self.plan.device,
            "measure": list(self.plan.measures.measure),
            "limit_s": self.plan.measures.limit_s,
            "choice": None if kept is None else str(kept),
            "roofline": str(roofline_path(self.environment)),
            "data_dir": None if self.place.data_dir is None else str(self.place.data_dir),
            "machine_dir": str(self.place.out / self.machine),
            "weights": f"weights/{name}" if self.place.save_weights else None,
            "profile": self.place.profile,
            "training_flops": variant.flops.training_flops,
            "plugins": [str(path) for path in self.place.plugins],
            "decided": decided(variant, self._done),
            "checkpoint": self._checkpoint(variant, seed),
        }
        self.display.run_started(variant.label, seed)
        fresh, alive = worker.import_s is None, True
        started = time.perf_counter()
        result: dict[str, Any] = {"status": "failed"}
        try:
            result = worker.run(job, self.display.worker_event)
        except WorkerDiedError as death:
            result["error"], alive = str(death), False
        # What an earlier process has spent on the same run was spent on it, too.
        wall_s = time.perf_counter() - started + result.get("carried_s", 0.0)
        unknown = 0.0 if result["status"] == "ok" else None
        ledger = complete_ledger(result.get("ledger"), worker.import_s if fresh else 0.0, wall_s, unknown=unknown)
        record = self._record(variant, name, started_at, seed, result | {"ledger": ledger})
        self.store.write(record)
        self._forget_checkpoint(variant, seed, record)
        write_report(self.place.out, self.machine)
        self.display.run_finished(record)
        return record, alive

    def _forget_checkpoint(self, variant: Variant, seed: int, record: RunRecord) -> None:
        """A run that is through needs none, nor does one that would diverge again; others may be tried again."""
        path = self._checkpoint_path(variant, seed)
        if path is not None and record.status in ("ok", "diverged"):
            path.unlink(missing_ok=True)

    def _record(
        self,
        variant: Variant,
        name: str,
        started_at: datetime,
        seed: int,
        result: dict[str, Any],
    ) -> RunRecord:
        """What the plan, the machine and the worker know of a run, put together."""
        return RunRecord(
            run_id=name,
            status=result["status"],
            error=result["error"],
            model=variant.config["model"],
            family=variant.family,
            variant=variant.label,
            seed=seed,
            num_params=variant.num_params,
            started_at=f"{started_at:%Y-%m-%dT%H:%M:%S}Z",
            command=self.place.command,
            config=variant.config,
            config_key=variant.key,
            dataset=result.get("dataset"),
            environment=self.environment,
            execution=result.get("execution"),
            num_steps=result.get("num_steps"),
            num_epochs=result.get("num_epochs"),
            history=result.get("history", []),
            ledger=result["ledger"],
            metrics=result.get("metrics"),
            throughput=result.get("throughput"),
            latency=result.get("latency"),
            memory=result.get("memory"),
            roofline=result.get("roofline"),
            compilation=result.get("compilation"),
            cost=variant_cost(variant, result.get("step_traffic_bytes")),
            step_shares=result.get("step_shares"),
            batch_sizes=result.get("batch_sizes"),
            load=result.get("load"),
            energy=result.get("energy"),
            flags=[*variant.flags, *result.get("flags", [])],
            predictions=result.get("predictions"),
            weights=result.get("weights"),
            profile=result.get("profile"),
            code_checksum=variant.code,
        )


def variant_cost(variant: Variant, step_traffic_bytes: dict[str, int] | None) -> Cost:
    """The model's work for an image, and what a step of the run moves, where the run came so far."""
    return {
        "forward_gmacs": variant.flops.forward_flops / 2e9,
        "forward_gflops": variant.flops.forward_flops / 1e9,
        "training_gflops": variant.flops.training_flops / 1e9,
        "step_traffic_bytes": step_traffic_bytes,
    }


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def complete_ledger(
    seconds: Mapping[str, float] | None, import_s: float | None, wall_s: float, *, unknown: float | None = 0.0
) -> Ledger:
    """The worker's sections, the start of its process and the rest, which together are the wall time.

    Args:
        seconds: by section; None where the worker died, and then only the wall time is known.
        import_s: until the worker was ready; 0 for a worker that was there already, None where it never was.
        wall_s: from asking for the run to its result.
        unknown: for sections that aren't there: 0 in a whole run, None in one that may not have come so far.
    """
    parts = (
        dict.fromkeys(PARTS)
        if seconds is None
        else {"import": import_s, **{part: seconds.get(part, unknown) for part in PARTS[1:]}}
    )
    known = sum(value for value in parts.values() if value is not None)
    ledger = {f"{part}_s": value for part, value in parts.items()}
    return Ledger(**ledger, other_s=None if seconds is None else wall_s - known, wall_s=wall_s)  # type: ignore[typeddict-item]
