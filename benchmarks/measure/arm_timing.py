"""Arms of one model in a worker: parity of each, then their steps timed in turn (A B C, C B A, ...)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypedDict

import torch
from torch import Tensor

from benchmarks.measure.clock import stopwatch
from benchmarks.measure.compilation import CompilerWatch
from benchmarks.measure.interleave import timed_rounds
from benchmarks.measure.parity import Reference, parity, reference_of
from benchmarks.measure.subject import Subject
from benchmarks.measure.throughput import TINY
from benchmarks.records.arms import Arm, FirstStep
from fmnist_zoo.data.loader import steps_per_chunk
from fmnist_zoo.recipe import Engine, Precision
from fmnist_zoo.training.device import synchronizer
from fmnist_zoo.training.precision import allow_tf32
from fmnist_zoo.training.step import TrainingStep

CPU_STEPS = 8
"""Steps per sample on a CPU, where a chunk can take seconds; one if an arm's step takes longer than SLOW_S."""
SLOW_S = 0.25
ROUNDS_S = 60.0
"""Time limit of all rounds, beyond MIN_ROUNDS: emulated precisions are slow."""
MIN_ROUNDS = 6


class ArmJob(TypedDict):
    """A requested arm."""

    precision: Precision
    engine: Engine
    config_key: str


def first_step(subject: Subject, precision: Precision, engine: Engine) -> FirstStep:
    """Seconds before an arm's first counted step, as in a run: set-up, compilation, capture."""
    watch, synchronize = CompilerWatch(), synchronizer(subject.device)
    started = time.perf_counter()
    step = subject.step(precision, engine)
    step.warm_up(subject.loader.chunks(0, 2))
    synchronize()
    return {"first_step_s": time.perf_counter() - started, "compilation": watch.found()}


def compare(
    subject: Subject,
    jobs: Sequence[ArmJob],
    *,
    rounds: int,
    report: Callable[[str], None],
    watched: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> dict[str, Any]:
    """Parity of every arm, then `rounds` interleaved samples of each.

    Args:
        subject: shared by the arms; its weights are trained a little first.
        jobs: the arms, the reference (fp32 eager) first.
        rounds: samples of each arm.
        report: called with progress messages.
        watched: entered while the samples are taken.

    Returns:
        `arms`, `steps_per_sample` and `steps_per_epoch`, as fields of an `ArmsRecord`.
    """
    # Each arm compiles the same code for another precision: stay below dynamo's recompile limit, beyond which it
    # silently runs eagerly.
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 4 * len(jobs))
    settle(subject)
    batch = next(subject.loader.batches(0, 1))
    reference = reference_of(subject.model, subject.recipe, batch, subject.scale)
    arms = [_parity_of(subject, job, batch, reference, report) for job in jobs]
    chunk = sample_chunk(subject)
    steps = [_ready(subject, arm, chunk, report) for arm in arms]
    with watched():
        steps_per_sample = take_turns(subject, arms, steps, chunk, rounds)
    return {
        "arms": arms,
        "steps_per_sample": steps_per_sample,
        "steps_per_epoch": subject.loader.steps_per_epoch,
    }


def settle(subject: Subject) -> None:
    """Train for a chunk in fp32: logits of random weights say little, and a zero head gives none."""
    recipe = replace(subject.recipe, ema_decay=None)
    step = TrainingStep(subject.model, recipe, scale=subject.scale, precision="fp32", engine="eager")
    for images, labels in subject.loader.chunks(0, steps_per_chunk(recipe.batch_size)):
        step.chunk(images, labels, [recipe.lr] * (len(labels) // recipe.batch_size))
    step.finish()


def take_turns(
    subject: Subject,
    arms: Sequence[Arm],
    steps: Sequence[TrainingStep | None],
    chunk: tuple[Tensor, Tensor],
    rounds: int,
) -> int:
    """Time the steps of every working arm in turn and store the samples; returns steps per sample.

    The first calls are not samples: building a later arm reset the compiler, so earlier ones compile again. The second
    calls determine steps per sample and the number of rounds.
    """
    batch_size, timed = subject.recipe.batch_size, stopwatch(subject.device)
    num_steps = len(chunk[1]) // batch_size

    def sample(step: TrainingStep) -> None:
        images, labels = (part[: num_steps * batch_size] for part in chunk)
        allow_tf32(step.precision)  # process-wide, so the previous arm may have changed it
        step.chunk(images, labels, [subject.recipe.lr * TINY] * num_steps)

    works = {str(index): partial(sample, step) for index, step in enumerate(steps) if step is not None}
    if subject.device.type == "cpu":
        num_steps = 1
    for work in works.values():
        work()
    step_s = [timed(work) / num_steps for work in works.values()]
    if max(step_s, default=0.0) <= SLOW_S:
        num_steps = len(chunk[1]) // batch_size
    rounds = rounds_within(sum(step_s) * num_steps, rounds)
    for index, seconds in timed_rounds(works, timed, num_rounds=rounds).items():
        arms[int(index)]["samples_step_ms"] += [value / num_steps * 1e3 for value in seconds]
    return num_steps


def rounds_within(round_s: float, wanted: int) -> int:
    """The rounds wanted, or the even number that fits ROUNDS_S, at least MIN_ROUNDS."""
    return min(wanted, max(MIN_ROUNDS, 2 * int(ROUNDS_S / max(round_s, 1e-9) / 2)))


def _parity_of(
    subject: Subject,
    job: ArmJob,
    batch: tuple[Tensor, Tensor],
    reference: Reference,
    report: Callable[[str], None],
) -> Arm:
    report(f"{job['precision']} {job['engine']}: parity")
    arm: Arm = {
        "precision": job["precision"],
        "engine": job["engine"], "config_key": job["config_key"],
        "ran_engine": None, "fallback": None, "error": None, "samples_step_ms": [],
        "parity": None, "cold": None, "warm": None,
    }  # fmt: skip
    try:
        arm["parity"] = parity(
            subject.model,
            subject.recipe,
            batch,
            scale=subject.scale,
            precision=job["precision"],
            engine=job["engine"],
            reference=reference,
        )
    except (RuntimeError, ValueError) as error:  # a failed arm becomes a row with its error
        arm["error"] = _said(error)
    return arm


def _ready(
    subject: Subject, arm: Arm, chunk: tuple[Tensor, Tensor], report: Callable[[str], None]
) -> TrainingStep | None:
    """An arm's step, warmed up; None if the arm fails."""
    if arm["error"] is not None:
        return None
    report(f"{arm['precision']} {arm['engine']}: warming up")
    try:
        step = subject.step(arm["precision"], arm["engine"])  # type: ignore[arg-type]
        step.warm_up([chunk, chunk] if subject.device.type == "cuda" else subject.loader.chunks(0, 2))
    except (RuntimeError, ValueError) as error:  # includes out of memory for one more arm
        arm["error"] = _said(error)
        return None
    arm["ran_engine"], arm["fallback"] = step.engine, step.fallback
    return step


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


def sample_chunk(subject: Subject) -> tuple[Tensor, Tensor]:
    """The batches of a sample."""
    batch_size = subject.recipe.batch_size
    steps = CPU_STEPS if subject.device.type == "cpu" else steps_per_chunk(batch_size)
    return next(subject.loader.chunks(0, min(steps, steps_per_chunk(batch_size))))
