"""Comparison of arms, worker's side; the runner's is `benchmarks.sweep.arms`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict

import torch

from benchmarks.measure.arm_timing import ArmJob, compare, first_step
from benchmarks.measure.flags import validity_flags
from benchmarks.measure.machine_load import LoadWatch
from benchmarks.measure.subject import Subject
from fmnist_zoo.data.datasets import load_dataset
from fmnist_zoo.registry import load_plugins


class ArmsJob(TypedDict):
    """A comparison, or the first step of one arm; `arms` are all compared, the reference first."""

    task: str
    config: dict[str, Any]
    seed: int
    device: str
    data_dir: str | None
    plugins: list[str]
    arms: list[ArmJob]
    rounds: int


def compare_arms(job: ArmsJob, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Parity and interleaved step times of every arm; fields of an `ArmsRecord`."""

    def report(text: str) -> None:
        emit({"event": "note", "text": text})

    watch = LoadWatch(job["device"])
    found = compare(
        _subject(job), job["arms"], rounds=job["rounds"], report=report, watched=lambda: watch.part("rounds")
    )
    return {
        **found,
        "num_threads": torch.get_num_threads() if job["device"] == "cpu" else None,
        "load": watch.found["rounds"],
        "flags": validity_flags(load=watch.found),
    }


def time_first_step(job: ArmsJob, emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:  # noqa: ARG001
    """Seconds of compilation and warm-up of the job's only arm, with this process's compiler cache."""
    (arm,) = job["arms"]
    return dict(first_step(_subject(job), arm["precision"], arm["engine"]))


def _subject(job: ArmsJob) -> Subject:
    load_plugins(job["plugins"])
    dataset = load_dataset(job["config"]["dataset"], root=job["data_dir"], progress=False)
    return Subject.of(job["config"], seed=job["seed"], device=job["device"], dataset=dataset)
