"""Cost of deterministic kernels on this machine, as a ratio of training speeds.

Copies of the same model train on the same batches with and without them, interleaved in one process, in the requested
precision and engine. The ratio excludes the cost of fp32 and eager in place of `auto`, which the comparison of arms
shows. cuBLAS uses the workspaces of a deterministic run in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from statistics import median

from tabulate import tabulate

from benchmarks.measure.arm_timing import TINY, sample_chunk
from benchmarks.measure.clock import stopwatch
from benchmarks.measure.interleave import timed_rounds
from benchmarks.measure.subject import Subject
from benchmarks.selfcheck.config import SelfcheckConfig
from benchmarks.stats.intervals import Ratio, paired_ratio
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.plan import Plan, Variant, make_plan
from fmnist_zoo.data import Dataset, load_dataset
from fmnist_zoo.training.determinism import VARIABLES, deterministic_algorithms
from fmnist_zoo.training.step import TrainingStep

Way = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Training speed of one model both ways; None, with the reason in `error`, if it has no deterministic kernel.

    `ratio` is deterministic over default speed, with its 95% interval.
    """

    variant: str
    free_img_per_s: float | None = None
    deterministic_img_per_s: float | None = None
    ratio: Ratio | None = None
    error: str | None = None


def measured(options: SelfcheckConfig) -> str:
    """The cost of each model, as a table.

    Raises:
        ValueError: an option is invalid.
        DataError: the dataset is unavailable.
    """
    # CUDA reads its environment on first use.
    os.environ.update({name: value for name, value in VARIABLES.items() if name not in os.environ})
    config = RunConfig(
        models=options.models,
        precision=options.precision,
        engine=options.engine,
        device=options.device,
        deterministic=True,
    )
    plan, dataset = make_plan(config), load_dataset("fashion_mnist", root=options.data_dir)
    costs = [cost(variant, plan, dataset) for variant in plan.variants]
    kinds = {f"{variant.config['precision']} {variant.config['engine']}": None for variant in plan.variants}
    return f"{', '.join(kinds)} on {plan.device}\n\n{table(costs)}"


def cost(variant: Variant, plan: Plan, dataset: Dataset) -> Cost:
    """Interleaved samples of a few steps with and without deterministic kernels."""
    if variant.failure is not None:
        return Cost(variant=variant.label, error=" ".join(variant.failure["error"].split())[:200])
    subject = Subject.of(variant.config, seed=0, device=plan.device, dataset=dataset)
    images, labels = chunk = sample_chunk(subject)
    lrs = [subject.recipe.lr * TINY] * (len(labels) // subject.recipe.batch_size)

    def sample(step: TrainingStep, way: Way) -> None:
        with way():
            step.chunk(images, labels, lrs)

    ways: dict[str, Way] = {"free": nullcontext, "deterministic": deterministic_algorithms}
    works: dict[str, Callable[[], None]] = {}
    try:
        for name, way in ways.items():
            step = subject.step(variant.config["precision"], variant.config["engine"])  # type: ignore[arg-type]
            with way():
                step.warm_up([chunk, chunk])
            works[name] = partial(sample, step, way)
            works[name]()
    except RuntimeError as error:
        return Cost(variant=variant.label, error=" ".join(str(error).split())[:200])
    seconds = timed_rounds(works, stopwatch(subject.device))
    return Cost(
        variant=variant.label,
        free_img_per_s=len(labels) / median(seconds["free"]),
        deterministic_img_per_s=len(labels) / median(seconds["deterministic"]),
        ratio=paired_ratio(seconds["deterministic"], seconds["free"]),
    )


def table(costs: Sequence[Cost]) -> str:
    """A table of the speeds and ratio of each model, or its error."""
    rows = [
        [one.variant, "", "", one.error]
        if one.ratio is None
        else [
            one.variant,
            f"{one.free_img_per_s:,.0f}",
            f"{one.deterministic_img_per_s:,.0f}",
            f"{one.ratio.median:.3f} [{one.ratio.low:.3f}, {one.ratio.high:.3f}]",
        ]
        for one in costs
    ]
    headers = ["model", "training, img/s", "deterministic, img/s", "ratio [95%]"]
    return tabulate(rows, headers, disable_numparse=True, colalign=("left", "right", "right", "left"))
