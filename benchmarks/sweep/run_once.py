"""One run of a sweep: job, retries at smaller batch sizes if requested, and outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure.roofline import roofline_path
from benchmarks.records.record import RunRecord
from benchmarks.records.schema import Config, Environment, Flag
from benchmarks.sweep.assemble import IN_PROCESS, batch_flag, changed_flag, complete_ledger, restart_flag
from benchmarks.sweep.config import OnOom, RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.earlier import choice_path
from benchmarks.sweep.job import CheckpointJob, Job
from benchmarks.sweep.plan import Plan, Variant
from benchmarks.workers.slot import Slot, Slots

SMALLEST_BATCH = 8
"""Smallest batch size to try. What doesn't fit with 8 images of 784 pixels is too large for another reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolation:
    """Isolation between runs.

    Attributes:
        timeout_s: time limit of a run, including the start of its process; None for no limit.
        on_oom: action after out of memory.
        in_process: use no worker processes.

    Raises:
        ValueError: the time limit is invalid or can't be enforced.
    """

    timeout_s: float | None = None
    on_oom: OnOom = "fail"
    in_process: bool = False

    def __post_init__(self) -> None:
        if self.timeout_s is None:
            return
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            raise ValueError(f"--timeout {self.timeout_s:g} must be a positive number of seconds")
        if self.in_process:
            raise ValueError(
                f"--timeout {self.timeout_s:g} can't be combined with --in-process, which can't stop a run that hangs; "
                "leave out one of them"
            )


class Attempts:
    """Executes runs, each in as many attempts as needed.

    Args:
        plan: of the runs.
        options: of the sweep.
        environment: of the machine.
        machine_dir: its results folder.
        display: told of progress.
        isolation: between runs.
        is_stopping: whether to start no further attempt.
    """

    def __init__(
        self,
        plan: Plan,
        options: RunConfig,
        *,
        environment: Environment,
        machine_dir: Path,
        display: Display,
        isolation: Isolation,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._plan, self._options, self._environment, self._machine_dir = plan, options, environment, machine_dir
        self._display, self._isolation, self._is_stopping = display, isolation, is_stopping
        self._fitting: dict[str, int] = {}

    def take_over(self, records: Iterable[RunRecord]) -> None:
        """Use the smaller batch size of an earlier sweep's seeds for the remaining ones."""
        for record in records:
            changed = any(flag["kind"] == "batch_changed" for flag in record.flags)
            if changed and record.throughput is not None and record.throughput["train_batch_size"] is not None:
                self._fitting[record.config_key] = record.throughput["train_batch_size"]

    def run(
        self,
        variant: Variant,
        seed: int,
        name: str,
        slots: Slots,
        *,
        decided: dict[str, str | None] | None,
        checkpoint: CheckpointJob | None,
    ) -> dict[str, Any]:
        """Execute a run; returns the worker's record fields or failure, with the last attempt's complete ledger.

        Args:
            variant: to run.
            seed: of the run.
            name: its `run_id`.
            slots: of the variants' workers.
            decided: precision and engine of the other seeds.
            checkpoint: of a training at the requested batch size.
        """
        if variant.failure is not None:  # nothing was started
            return {**variant.failure, "ledger": complete_ledger(None, None, 0.0)}
        device, asked = self._plan.device, variant.config["recipe"]
        config = with_batch(variant.config, self._fitting.get(variant.key, asked["batch_size"]))
        tried, alone = dict[int, None](), False
        while True:
            tried[config["recipe"]["batch_size"]] = None
            job = self._job(variant, config, seed, name)
            job["decided"], job["checkpoint"] = decided, checkpoint if config == variant.config else None
            result = self._ask(job, slots[variant.key])
            if result["status"] != "oom" or self._is_stopping():
                break
            if slots.make_room():
                alone = True
                continue
            if self._isolation.on_oom != "halve" or (less := halved(config)) is None:
                break
            config = less
            self._display.batch_changed(config["recipe"]["batch_size"])
        if config != variant.config:
            # The other seeds of a row are trained like this one.
            self._fitting[variant.key] = config["recipe"]["batch_size"]
            result["flags"] = [batch_flag(asked, config["recipe"], device), *result.get("flags", [])]
        if alone:
            why = "ran out of memory while those of other variants were waiting, so these were stopped"
            result["flags"] = [restart_flag(f"An earlier worker {why}."), *result.get("flags", [])]
        if result["status"] == "oom":
            may_halve = self._isolation.on_oom == "halve"
            result["error"] = oom_error(result["error"], list(tried), device, may_halve=may_halve)
        return result

    def _ask(self, job: Job, slot: Slot) -> dict[str, Any]:
        """One attempt."""
        history: list[dict[str, Any]] = []

        def on_event(event: dict[str, Any]) -> None:
            if "epoch" in event:
                history.append(event)
            self._display.worker_event(event)

        result = slot.run(job, on_event, timeout_s=self._isolation.timeout_s)
        result.setdefault("history", history)  # all that remains if the worker died
        # Includes the time of an earlier process on the same run.
        wall_s = result["wall_s"] + result.get("carried_s", 0.0)
        unknown = 0.0 if result["status"] == "ok" else None
        result["ledger"] = complete_ledger(result.get("ledger"), result["import_s"], wall_s, unknown=unknown)
        result["flags"] = [*self._flags(result), *result.get("flags", [])]
        return result

    def _flags(self, result: Mapping[str, Any]) -> Iterator[Flag]:
        """Flags about the process of an attempt."""
        if self._isolation.in_process:
            yield IN_PROCESS
        if why := result["restarted"]:
            yield restart_flag(f"The previous seed's worker {why}.")
        if changed := result.get("changed"):
            yield changed_flag(changed)

    def _job(self, variant: Variant, config: Config, seed: int, name: str) -> Job:
        # A plug-in's model may change under its name, and another batch size may favour another choice.
        keeps = not variant.plugins and config == variant.config
        assert variant.training_flops is not None, "a model that failed beforehand isn't run"
        kept = choice_path(variant.key, self._environment) if keeps else None
        return {
            "task": "run",
            "config": dict(config),
            "seed": seed,
            "run_id": name,
            "device": self._plan.device,
            "measure": list(self._plan.measures.measure),
            "limit_s": self._plan.measures.limit_s,
            "choice": None if kept is None else str(kept),
            "roofline": str(roofline_path(self._environment)),
            # Absolute: a model may change the current folder.
            "data_dir": None if self._options.data_dir is None else str(self._options.data_dir.absolute()),
            "machine_dir": str(self._machine_dir.absolute()),
            "weights": f"weights/{name}" if self._options.save_weights else None,
            "profile": self._options.profile,
            "training_flops": variant.training_flops,
            "plugins": list(variant.plugins),
            "decided": None,
            "checkpoint": None,
        }


def halved(config: Config) -> Config | None:
    """The configuration with half the batch size, rounded down; None below `SMALLEST_BATCH`."""
    batch_size = config["recipe"]["batch_size"] // 2
    return with_batch(config, batch_size) if batch_size >= SMALLEST_BATCH else None


def with_batch(config: Config, batch_size: int) -> Config:
    """The configuration with another batch size."""
    return {**config, "recipe": {**config["recipe"], "batch_size": batch_size}}


def oom_error(message: str, tried: Sequence[int], device: str, *, may_halve: bool) -> str:
    """Error of a run that is out of memory.

    Args:
        message: of the last attempt.
        tried: batch sizes, in order.
        device: it trained on.
        may_halve: whether smaller batch sizes were tried.
    """
    sizes = ", ".join(map(str, tried))
    fix = "no smaller batch size is tried" if may_halve else "choose a smaller --batch-size, or use --on-oom halve"
    return f"out of memory on {device} at batch size {sizes} ({fix}): {message}"
