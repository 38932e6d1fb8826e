"""From a plan to records: one worker process a variant, and after each run a record and tables up to date."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.choices import choice_path
from benchmarks.display import Display
from benchmarks.environment import hardware, machine_name, software
from benchmarks.plan import Plan, Variant
from benchmarks.process import Worker, WorkerDiedError
from benchmarks.record import RecordStore, RunRecord, run_id
from benchmarks.report import check_out_dir, write_report
from benchmarks.roofline import roofline_path
from benchmarks.schema import Environment, Ledger
from benchmarks.worker import Job

PARTS = ("import", "data", "build", "probe", "first_step", "train", "eval", "measure", "profile", "write")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a sweep's results go and its data comes from, what is kept, and the command that its records name."""

    out: Path
    data_dir: Path | None
    save_weights: bool
    profile: bool
    plugins: tuple[Path, ...]
    command: str


class Runner:
    """Carries out a plan, one run after the other.

    Args:
        plan: what to run.
        place: where.
        display: told of everything that happens.
        new_worker: makes a worker process; a fake in tests.
    """

    def __init__(
        self, plan: Plan, place: Place, display: Display, new_worker: Callable[[int], Worker] = Worker
    ) -> None:
        self.plan, self.place, self.display = plan, place, display
        self._new_worker = new_worker
        self.environment: Environment = {"hardware": hardware(plan.device), "software": software(), "details": None}
        self.machine = machine_name(self.environment["hardware"])
        check_out_dir(place.out, self.machine)
        self.store = RecordStore(place.out / self.machine)
        self._check_writable()

    def run(self, *, skip: Collection[tuple[str, int]] = (), deadline: float | None = None) -> list[RunRecord]:
        """Do every run that isn't in `skip` (configuration key and seed); no new one starts after `deadline`.

        Returns the records of this sweep, also written to the store. Ctrl-C ends the run at hand and raises
        KeyboardInterrupt; what was finished before is in the store and in the tables.
        """
        records: list[RunRecord] = []
        for variant in self.plan.variants:
            worker: Worker | None = None
            try:
                for seed in self.plan.seeds:
                    if (variant.key, seed) in skip or (deadline is not None and time.monotonic() > deadline):
                        continue
                    worker = worker or self._new_worker(psutil.cpu_count(logical=False) or 1)
                    record, alive = self._one(variant, seed, worker)
                    records.append(record)
                    if not alive:
                        worker.close()
                        worker = None
            finally:
                if worker is not None:
                    worker.close()
        return records

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
            "config": dict(variant.config),
            "seed": seed,
            "run_id": name,
            "device": self.plan.device,
            "latency": self.plan.measures.latency,
            "choice": None if kept is None else str(kept),
            "roofline": str(roofline_path(self.environment)),
            "data_dir": None if self.place.data_dir is None else str(self.place.data_dir),
            "machine_dir": str(self.place.out / self.machine),
            "weights": f"weights/{name}" if self.place.save_weights else None,
            "profile": self.place.profile,
            "plugins": [str(path) for path in self.place.plugins],
        }
        self.display.run_started(variant.label, seed)
        fresh, alive = worker.import_s is None, True
        started = time.perf_counter()
        result: dict[str, Any] = {"status": "failed"}
        try:
            result = worker.run(job, self.display.epoch)
        except WorkerDiedError as death:
            result["error"], alive = str(death), False
        wall_s = time.perf_counter() - started
        unknown = 0.0 if result["status"] == "ok" else None
        ledger = complete_ledger(result.get("ledger"), worker.import_s if fresh else 0.0, wall_s, unknown=unknown)
        record = self._record(variant, name, started_at, seed, result | {"ledger": ledger})
        self.store.write(record)
        write_report(self.place.out, self.machine)
        self.display.run_finished(record)
        return record, alive

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
            flags=[*variant.flags, *result.get("flags", [])],
            predictions=result.get("predictions"),
            weights=result.get("weights"),
            profile=result.get("profile"),
        )


def finished_runs(machine_dir: Path, since: str) -> set[tuple[str, int]]:
    """Configuration key and seed of every run that is ok and began at or after a time (UTC, as records write it)."""
    records, _ = RecordStore(machine_dir).read_all()
    return {
        (record.config_key, record.seed) for record in records if record.status == "ok" and record.started_at >= since
    }


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
