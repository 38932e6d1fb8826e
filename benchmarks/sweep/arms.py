"""Comparison of arms, runner's side: worker processes and the record."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measure.interleave import NUM_ROUNDS
from benchmarks.records.arms import Arm, ArmGroup, ArmsRecord, FirstStep
from benchmarks.records.record import config_key, run_id
from benchmarks.records.schema import Config, Environment
from benchmarks.workers.client import NewWorker
from benchmarks.workers.slot import Slot
from fmnist_zoo.training.determinism import VARIABLES


class ArmSweep:
    """Runs comparisons, each in its own worker processes.

    Args:
        new_worker: creates a worker process with extra environment variables.
        environment: of the machine, for the records.
        device: where to measure.
        data_dir: folder of the data, if given.
        plugins: to be loaded, by model name.
        command: the command line, for the records.
        say: called with progress messages.
        timeout_s: time limit per arm; a comparison may take the sum of its arms'. None for no limit.
    """

    def __init__(
        self,
        new_worker: NewWorker,
        *,
        environment: Environment,
        device: str,
        data_dir: Path | None,
        plugins: Mapping[str, Sequence[str]],
        command: str,
        say: Callable[[str], None],
        timeout_s: float | None = None,
    ) -> None:
        self._new_worker, self._environment, self._device = new_worker, environment, device
        self._data_dir, self._plugins, self._command, self._say = data_dir, plugins, command, say
        self._timeout_s = timeout_s

    def compare(self, group: ArmGroup) -> ArmsRecord:
        """All arms of a group: parity and step times in one process, then first steps of the compiled ones."""
        started_at, started = datetime.now(UTC), time.perf_counter()
        model = group.configs[0]["model"]
        self._say(f"{model}: comparing {len(group.configs)} arms")
        result = self._ask("arms", group.configs, group, {})
        arms: list[Arm] = result.get("arms") or [_unmeasured(config, result["error"]) for config in group.configs]
        for arm, config in zip(arms, group.configs, strict=True):
            if arm["error"] is None and config["engine"] != "eager":
                arm["cold"], arm["warm"] = self._first_steps(config, group)
        return ArmsRecord(
            comparison_id=run_id(started_at, model, group.key, 0),
            model=model,
            family=group.family,
            started_at=f"{started_at:%Y-%m-%dT%H:%M:%S}Z",
            command=self._command,
            config=group.configs[0],
            environment=self._environment,
            num_threads=result.get("num_threads"),
            steps_per_epoch=result.get("steps_per_epoch"),
            steps_per_sample=result.get("steps_per_sample"),
            arms=arms,
            load=result.get("load"),
            flags=result.get("flags", []),
            wall_s=time.perf_counter() - started,
        )

    def _first_steps(self, config: Config, group: ArmGroup) -> tuple[FirstStep | None, FirstStep | None]:
        """First steps with an empty compiler cache, and in a new process with the filled one."""
        with tempfile.TemporaryDirectory(prefix="fmnist-zoo-cache-") as folder:
            variables = {
                "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor",
                "TRITON_CACHE_DIR": f"{folder}/triton",
            }
            found: list[FirstStep | None] = []
            for cache in ("cold", "warm"):
                self._say(f"{config['model']}: {config['precision']} {config['engine']}, first step with {cache} cache")
                result = self._ask("first_step", [config], group, variables)
                good = result["status"] == "ok"
                found.append(
                    {"first_step_s": result["first_step_s"], "compilation": result["compilation"]} if good else None
                )
        return found[0], found[1]

    def _ask(
        self, task: str, configs: Sequence[Config], group: ArmGroup, variables: Mapping[str, str]
    ) -> dict[str, Any]:
        """Answer of a new worker; an error if it fails or dies."""
        job = {
            "task": task,
            "config": dict(group.configs[0]),
            "seed": 0,
            "device": self._device,
            "data_dir": None if self._data_dir is None else str(self._data_dir),
            "plugins": list(self._plugins[group.configs[0]["model"]]),
            "arms": [
                {"precision": config["precision"], "engine": config["engine"], "config_key": config_key(config)}
                for config in configs
            ],
            "rounds": NUM_ROUNDS,
        }
        fixed = VARIABLES if group.configs[0].get("deterministic") else {}
        timeout_s = None if self._timeout_s is None else self._timeout_s * len(configs)
        with Slot(lambda: self._new_worker({**variables, **fixed})) as slot:
            return slot.run(
                job, lambda event: self._say(f"{group.configs[0]['model']}: {event['text']}"), timeout_s=timeout_s
            )


def _unmeasured(config: Config, error: str) -> Arm:
    return {
        "precision": config["precision"], "engine": config["engine"], "config_key": config_key(config),
        "ran_engine": None, "fallback": None, "error": " ".join(error.split())[:300], "samples_step_ms": [],
        "parity": None, "cold": None, "warm": None,
    }  # fmt: skip
