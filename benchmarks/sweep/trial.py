"""Trial of a model before its first run, in a worker: validity, cost, estimated time."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from benchmarks.measure.memory import is_out_of_memory
from benchmarks.measure.subject import Subject
from benchmarks.sweep.code_checksum import code_checksum
from benchmarks.sweep.expansion import expand
from benchmarks.workers.server import Emit
from fmnist_zoo.data.catalog import NUM_CLASSES
from fmnist_zoo.data.datasets import Dataset, load_dataset
from fmnist_zoo.flops import count_flops
from fmnist_zoo.processor import cpu_capability
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import create_model, get_spec, load_plugins
from fmnist_zoo.training.budget import budget_steps, seconds_per_step
from fmnist_zoo.training.ledger import Ledger
from fmnist_zoo.training.modules import check_loss, trainable
from fmnist_zoo.training.precision import is_emulated

PROBE_S = 0.02
"""Seconds of measuring per precision for a time estimate."""
BATCH_SIZE = 32
"""Batch size for the cost of a precision: an emulated step of 256 images can take ten seconds."""
WORTH_SAYING = 1.5
"""Slowdown relative to fp32 from which a requested precision gets a warning; emulated ones always do."""


class Trials:
    """Workload of a planning worker."""

    def __call__(self, job: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
        """Run a job: `expand` options, `try` a model, or time a few of its steps."""
        tasks = {"expand": expand, "try": try_model, "estimate": estimate, "precision_cost": precision_cost}
        return tasks[job["task"]](job, emit)


class _UnfitError(Exception):
    """A model is invalid; the message says why."""


def try_model(job: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
    """Build, run and count the job's model once.

    Returns:
        `num_params`, `forward_flops`, `training_flops` and `code`; or `refused`, why the options are invalid; or the
        model's failure. The checksum available without an instance is emitted first.
    """
    name, options = job["model"], job["model_options"]
    load_plugins(job["plugins"])
    spec = get_spec(name)
    emit({"event": "code", "code": code_checksum(spec.build, nn.Module())})
    try:
        try:
            model = create_model(name, **options)
        except ValueError as error:
            return {"refused": str(error)} if options else _failed(error, f"{name} can't be built: {error}")
        _check(name, model)
        for fields in job["recipes"]:
            try:
                _check_recipe(name, model, Recipe.from_dict(fields))
            except ValueError as error:
                return {"refused": str(error)}
        return {**_counted(name, model), "code": code_checksum(spec.build, model)}
    except _UnfitError as error:
        return {"refused": str(error)} if options else _failed(error, str(error))
    except (Exception, SystemExit) as error:  # noqa: BLE001  # any failure of a model becomes its row
        return _failed(error, f"{name} can't be built and run: {type(error).__name__}: {error}")


def _failed(error: BaseException, message: str) -> dict[str, Any]:
    traceback.print_exception(error)
    return {"status": "oom" if is_out_of_memory(error) else "failed", "error": message}


def _check(name: str, model: nn.Module) -> None:
    """Run a model on two images, and on one of them alone."""
    images = torch.linspace(-1.0, 1.0, 2 * 28 * 28, dtype=torch.float32).view(2, 1, 28, 28)
    with torch.inference_mode():
        logits = model.eval()(images)
        alone = model(images[:1])
    given = tuple(logits.shape) if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
    if given != (2, NUM_CLASSES):
        raise _UnfitError(f"{name} returns {given} for 2 images; it must return logits (2, {NUM_CLASSES})")
    if logits.isnan().any():
        raise _UnfitError(f"{name} returns NaN logits before any training")
    if not torch.allclose(logits[:1], alone, rtol=1e-3, atol=1e-3):
        raise _UnfitError(
            f"{name}: logits depend on the rest of the batch in eval mode; each image must be classified independently "
            "(check for normalisation without running statistics)"
        )
    if not trainable(model):
        raise _UnfitError(f"{name} has no trainable parameter")


def _check_recipe(name: str, model: nn.Module, recipe: Recipe) -> None:
    if recipe.batch_size == 1 and any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()
    ):
        raise ValueError(f"--batch-size 1 does not work with the batch normalisation of {name}; use at least 2")
    check_loss(model, recipe)


def _counted(name: str, model: nn.Module) -> dict[str, int]:
    try:
        flops = count_flops(model)
    except Exception as error:
        raise _UnfitError(
            f"the FLOPs of {name} can't be counted: {type(error).__name__}: {error} (counted on torch's meta "
            "device, without data: the forward pass may not read tensor values, as .item() does)"
        ) from error
    return {
        "num_params": sum(parameter.numel() for parameter in model.parameters()),
        "forward_flops": flops.forward_flops,
        "training_flops": flops.training_flops,
    }


def estimate(job: Mapping[str, Any], emit: Emit) -> dict[str, Any]:  # noqa: ARG001
    """Estimated training seconds per seed, from a few steps, and `how`: precision and engine."""
    load_plugins(job["plugins"])
    subject = _subject(job, job["config"])
    # Without compilation, which would take longer than an estimate should.
    choice = subject.choose(engine="eager", image_flops=job["training_flops"], probe_s=PROBE_S)
    step_s = choice.step_s
    if step_s is None:
        step = subject.step(choice.precision, choice.engine)
        step.warm_up(subject.loader.chunks(0, 2))
        step_s = seconds_per_step(step, subject.loader, Ledger())
    num_steps = budget_steps(subject.recipe, subject.loader, job["training_flops"], lambda: step_s)
    return {"train_s": step_s * num_steps, "how": f"{choice.precision} {choice.engine}"}


def precision_cost(job: Mapping[str, Any], emit: Emit) -> dict[str, Any]:  # noqa: ARG001
    """Cost of the configuration's precision on a CPU, which may emulate it.

    Returns:
        `sentence` with figures if the precision is emulated or slow, else None; an error if torch can't train the model
        in it.
    """
    load_plugins(job["plugins"])
    config = job["config"]
    in_fp32 = _img_per_s(job, "fp32")
    try:
        in_precision = _img_per_s(job, config["precision"])
    except RuntimeError as error:
        return _failed(
            error,
            f"torch can't train {config['model']} in precision {config['precision']} on this processor "
            f"({cpu_capability()}): {str(error).splitlines()[0]:.120}; use --precision fp32 or auto",
        )
    is_slow = in_fp32 >= WORTH_SAYING * in_precision or is_emulated(config["precision"], torch.device("cpu"))
    return {"sentence": _sentence(config, in_fp32, in_precision) if is_slow else None}


def _img_per_s(job: Mapping[str, Any], precision: Any) -> float:
    """Training speed over a few steps, in images per second."""
    config = job["config"]
    small = {**config, "recipe": {**config["recipe"], "batch_size": BATCH_SIZE}}
    subject = _subject(job, small)
    step, seconds = subject.step(precision, "eager"), list[float]()
    for images, labels in subject.loader.batches(0, 3):
        started = time.perf_counter()
        step(images, labels, subject.recipe.lr)
        seconds.append(time.perf_counter() - started)
    return BATCH_SIZE / min(seconds[1:])


def _sentence(config: Mapping[str, Any], in_fp32: float, in_precision: float) -> str:
    precision = config["precision"]
    why = f"this processor ({cpu_capability()}) has no instructions for it and emulates it; "
    emulated = why if is_emulated(precision, torch.device("cpu")) else ""
    return (
        f"{config['model']} in {precision}: {emulated}a training step takes {in_fp32 / in_precision:.1f} times as long "
        f"as in fp32 ({in_precision:,.0f} and {in_fp32:,.0f} img/s at batch size {BATCH_SIZE}, measured now); use "
        "--precision fp32 or auto"
    )


def _subject(job: Mapping[str, Any], config: Mapping[str, Any]) -> Subject:
    dataset = _dataset(config["dataset"], job["data_dir"])
    return Subject.of(config, seed=job["seed"], device=job["device"], dataset=dataset)


@functools.cache
def _dataset(name: str, root: str | None) -> Dataset:
    return load_dataset(name, root=root, progress=False)
