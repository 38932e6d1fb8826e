"""What a number format costs on a CPU, measured before a sweep starts: one without instructions for it emulates it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from benchmarks.measure.subject import Subject
from benchmarks.records.schema import Config
from benchmarks.sweep.plan import Plan
from fmnist_zoo.data.datasets import Dataset
from fmnist_zoo.processor import cpu_capability
from fmnist_zoo.training.precision import is_emulated

BATCH_SIZE = 32
"""Of the measured steps: an emulated one of 256 images can take ten seconds."""
WORTH_SAYING = 1.5
"""Times as slow as fp32 from which a format that was asked for gets a warning; an emulated one always does."""


def slow_precisions(plan: Plan, dataset: Dataset) -> Iterator[str]:
    """A sentence for each model and number format of a plan that is emulated, or slow, on this CPU, with the figures.

    Raises:
        ValueError: torch can't train the model in a precision that was asked for.
    """
    device = torch.device(plan.device)
    if device.type != "cpu":
        return
    unlike = {
        (config["model"], str(config["model_options"]), config["precision"]): config
        for config in (variant.config for variant in plan.variants)
        if config["precision"] not in ("auto", "fp32")
    }
    for config in unlike.values():
        in_fp32, in_precision = (_img_per_s(config, each, dataset) for each in ("fp32", config["precision"]))
        if in_fp32 >= WORTH_SAYING * in_precision or is_emulated(config["precision"], device):
            yield _sentence(config, in_fp32, in_precision)


def _img_per_s(config: Config, precision: str, dataset: Dataset) -> float:
    """Images a second of a few training steps."""
    small = {**config, "recipe": {**config["recipe"], "batch_size": BATCH_SIZE}}
    subject = Subject.of(small, seed=0, device="cpu", dataset=dataset)
    try:
        step = subject.step(precision, "eager")  # type: ignore[arg-type]
        seconds: list[float] = []
        for images, labels in subject.loader.batches(0, 3):
            started = time.perf_counter()
            step(images, labels, subject.recipe.lr)
            seconds.append(time.perf_counter() - started)
    except RuntimeError as error:
        raise ValueError(
            f"torch can't train {config['model']} in precision {precision} on this processor ({cpu_capability()}): "
            f"{str(error).splitlines()[0]:.120}; use --precision fp32 or auto"
        ) from error
    return BATCH_SIZE / min(seconds[1:])


def _sentence(config: Config, in_fp32: float, in_precision: float) -> str:
    precision = config["precision"]
    why = f"this processor ({cpu_capability()}) has no instructions for it, so it is emulated; "
    emulated = why if is_emulated(precision, torch.device("cpu")) else ""
    return (
        f"{config['model']} in {precision}: {emulated}a training step takes {in_fp32 / in_precision:.1f} times as long "
        f"as in fp32 ({in_precision:,.0f} and {in_fp32:,.0f} img/s at a batch of {BATCH_SIZE}, measured now); use "
        "--precision fp32 or auto"
    )
