"""The measuring process of the A/A check: copies of one training step, and their timing."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from benchmarks.measure.clock import Stopwatch, stopwatch
from benchmarks.measure.interleave import SAMPLE_S, timed_rounds
from benchmarks.measure.subject import Subject
from benchmarks.measure.throughput import inference_rates, training_rates
from benchmarks.selfcheck.config import SelfcheckJob
from fmnist_zoo.data.datasets import load_dataset
from fmnist_zoo.data.loader import steps_per_chunk
from fmnist_zoo.evaluation import BATCH_SIZE, Predictor
from fmnist_zoo.training.step import TrainingStep

if TYPE_CHECKING:
    from benchmarks.workers.server import Emit

RATE_LIMIT_S = 2.0
"""Time limit for each throughput of a process."""
LR = 1e-6
"""Small enough to keep the weights near their initial values however long the measurement takes."""


class Measuring:
    """The worker of the check; emits each comparison as soon as it is done."""

    def __call__(self, job: SelfcheckJob, emit: Emit) -> dict[str, Any]:
        """Carry out a job."""
        dataset = load_dataset("fashion_mnist", root=job["data_dir"], progress=False)
        subject = Subject.of(job["config"], seed=0, device=job["device"], dataset=dataset)
        if job["comparisons"] is None:
            return rates(subject)
        for found in comparisons(subject, job["comparisons"]):
            emit({"event": "comparison", **found})
        return {"num_threads": torch.get_num_threads() if subject.device.type == "cpu" else None}


def ready_step(arm: Subject) -> TrainingStep:
    """A new, warmed-up copy of an arm: the same weights in separate memory.

    Raises:
        RuntimeError: the engine is unavailable, so another one would be measured under its name.
    """
    assert arm.precision is not None and arm.engine is not None, "an arm has no auto"
    step = arm.step(arm.precision, arm.engine)
    step.warm_up(arm.loader.chunks(0, 2))
    if step.engine != arm.engine:
        raise RuntimeError(step.fallback)
    return step


def comparisons(arm: Subject, count: int) -> Iterator[dict[str, Any]]:
    """Comparisons of two copies of an arm, as an event's fields: `steps_per_sample`, `first_s` and `second_s` by round.

    Each comparison uses fresh copies, since a copy's place in memory may slow it down for life and would bias repeated
    comparisons of the same two. Compiled and captured steps are made once, which takes longer than all comparisons.
    """
    images, labels = next(arm.loader.chunks(0))
    timed = stopwatch(arm.device)

    def sample(step: TrainingStep, steps: int) -> None:
        for some in portions(steps, steps_per_chunk(arm.recipe.batch_size)):
            part = slice(some * arm.recipe.batch_size)
            step.chunk(images[part], labels[part], [LR] * some)

    pair: tuple[TrainingStep, TrainingStep] | None = None
    steps: int | None = None
    for _ in range(count):
        if pair is None or arm.engine == "eager":
            pair = (ready_step(arm), ready_step(arm))
        for step in pair:
            sample(step, 1)  # creating the second copy resets the compiler
        steps = steps or steps_per_sample(partial(sample, pair[0]), timed)
        works = {name: partial(sample, step, steps) for name, step in zip(("first_s", "second_s"), pair, strict=True)}
        yield {"steps_per_sample": steps, **timed_rounds(works, timed)}


def portions(steps: int, largest: int) -> list[int]:
    """Split a number of steps into chunks of at most `largest`."""
    whole, rest = divmod(steps, largest)
    return [largest] * whole + [rest] * (rest > 0)


def steps_per_sample(work: Callable[[int], None], timed: Stopwatch) -> int:
    """Number of steps that take at least SAMPLE_S, found by trial."""
    steps = 1
    while (seconds := timed(partial(work, steps))) < SAMPLE_S:
        # Grow at most tenfold, since the time of a single step is imprecise.
        steps = min(10 * steps, max(steps + 1, math.ceil(steps * SAMPLE_S / max(seconds, 1e-9))))
    return steps


def rates(arm: Subject) -> dict[str, float]:
    """Training and inference throughput of one copy, measured as in a run, including batch preparation."""
    step, timed = ready_step(arm), stopwatch(arm.device)
    training = training_rates(step, arm.loader, timed, limit_s=RATE_LIMIT_S)
    predictor = Predictor(step.model, scale=arm.scale, precision=step.precision, engine=step.engine)
    images = next(arm.loader.chunks(0))[0][:BATCH_SIZE]
    inference = inference_rates(predictor, images, timed, limit_s=RATE_LIMIT_S)
    return {"train_img_per_s": statistics.median(training), "infer_img_per_s": statistics.median(inference)}
