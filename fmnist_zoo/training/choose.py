"""Choice of precision and engine by measurement, for the least total time of a run on this device.

The candidates train copies of the model on the same batches in turn (A B C A B C), so that a drifting machine slows all
alike. Candidates whose logits deviate from fp32's are excluded. Compilation is tried only if a large gain over the
run's steps could repay it.
"""

from __future__ import annotations

import copy
import statistics
import time
from dataclasses import dataclass

import torch
from torch import nn

from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.processor import has_bf16
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.training.budget import budget_flops, budget_steps
from fmnist_zoo.training.device import synchronizer
from fmnist_zoo.training.modules import copied
from fmnist_zoo.training.step import TrainingStep

PROBE_S = 0.3
"""Seconds of measuring per candidate."""
MIN_SAMPLES = 3
"""Samples per candidate; one if they would take ten times that."""
LARGEST_COMPILE_GAIN = 1.3
"""Largest expected speedup by compilation on a CPU, and ...

The most seen was about 1.2 for nets that train for a minute and more. Small ones gained up to 1.8 with Adam, but have
no minute to save."""
SMALLEST_SAVING_S = 15.0
"""... the saving it would have to bring to be tried: trying costs a compilation, 3 to 9 s for the families on two cores
of an EPYC, and once 18 s on a busy machine."""
WORTH_SAYING = 1.05
"""Speedup over the default from which another engine is recommended."""
LARGEST_LOGIT_ERROR = 0.03
"""Largest RMS error of the logits, relative to fp32 eager's, of an eligible precision."""
NOT_IN_SECONDS = "compilation not tried: a budget in seconds leaves out its cost; to use it, give --engine compile"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Chosen precision and engine, with the evidence in a sentence."""

    precision: Precision
    engine: Engine
    reason: str | None
    step_s: float | None = None
    """Measured seconds per step, if any."""


@dataclass(slots=True)
class _Arm:
    step: TrainingStep
    set_up_s: float
    samples_s: list[float]

    @property
    def step_s(self) -> float:
        return statistics.median(self.samples_s)

    def total_s(self, num_steps: int) -> float:
        return self.set_up_s + self.step_s * num_steps


def choose(
    model: nn.Module,
    recipe: Recipe,
    loader: TrainLoader,
    scale: PixelScale,
    *,
    precision: Precision | None,
    engine: Engine | None,
    image_flops: int | None = None,
    probe_s: float = PROBE_S,
) -> Choice:
    """Choose precision and engine where they are None; the model is not changed.

    On CUDA the default is AMP in bf16 (fp16 if the GPU lacks it) with torch.compile; a captured graph is measured
    beside it, and `reason` says which is faster. On MPS: fp32, eager.

    Args:
        model: on the device.
        recipe: its budget sets the steps over which compilation must pay off.
        loader: of the training batches.
        scale: from pixels to floats.
        precision: given, or None to choose.
        engine: given, or None to choose.
        image_flops: training FLOPs per image; counted if needed and None.
        probe_s: seconds of measuring per candidate on a CPU.
    """
    device = loader.labels.device
    if precision is not None and engine is not None:
        return Choice(precision=precision, engine=engine, reason=None)
    if device.type == "mps":
        return Choice(precision=precision or "fp32", engine=engine or "eager", reason="default on mps")
    if device.type == "cuda":
        usual: Precision = "bf16" if has_bf16(device) else "fp16"
        return _default_beside_graph(model, recipe, loader, scale, precision or usual, engine)
    image_flops = image_flops or budget_flops(recipe, model)
    candidates: list[Precision] = [precision] if precision else _cpu_precisions()
    if engine is None and precision is not None and recipe.budget.kind == "seconds":
        return Choice(precision=precision, engine="eager", reason=NOT_IN_SECONDS)
    arms: dict[Precision, _Arm] = {}
    dropped: list[str] = []
    for name in candidates:
        try:
            arms[name] = _arm(model, recipe, loader, scale, name, engine or "eager")
            # An explicit precision is always used. NaN fails the comparison as written.
            if precision is None and not _logit_error(arms[name], model, loader) <= LARGEST_LOGIT_ERROR:
                del arms[name]
                dropped.append(f"{name} deviates from fp32")
        except RuntimeError as error:  # torch has an operation of this model in fp32 only
            if precision is not None or name == "fp32":
                raise
            dropped.append(f"{name} fails: {str(error).splitlines()[0]:.80}")
    _measure(list(arms.values()), loader, probe_s)
    first = next(iter(arms.values()))
    num_steps = budget_steps(recipe, loader, image_flops, lambda: first.step_s)
    # Set-up is not compared: small without compilation, similar with it, and the first arm's includes the process's.
    best = min(arms, key=lambda name: arms[name].step_s)
    evidence = [f"{name} {arms[name].step.engine} {_speed(arms[name], recipe)}" for name in arms]
    evidence += dropped
    chosen: Engine = engine or "eager"
    step_s = arms[best].step_s
    if engine is None:
        chosen, sentence = _compile_or_not(arms[best], model, recipe, loader, scale, num_steps)
        evidence.append(sentence)
    return Choice(
        precision=best,
        engine=chosen,
        reason="; ".join(evidence),
        step_s=step_s if chosen == (engine or "eager") else None,
    )


def _default_beside_graph(
    model: nn.Module,
    recipe: Recipe,
    loader: TrainLoader,
    scale: PixelScale,
    precision: Precision,
    engine: Engine | None,
) -> Choice:
    """AMP with torch.compile, compared with a captured graph if the engine was not given."""
    if engine is not None:
        return Choice(precision=precision, engine=engine, reason="default on CUDA: AMP")
    # The graph first: building the other resets the compiler, which a captured step no longer needs.
    graph = _arm(model, recipe, loader, scale, precision, "graph")
    compiled = _arm(model, recipe, loader, scale, precision, "compile")
    _measure([compiled, graph], loader)
    gain = statistics.median(a / b for a, b in zip(compiled.samples_s, graph.samples_s, strict=True))
    evidence = f"default on CUDA: AMP with torch.compile, {_speed(compiled, recipe)}"
    if graph.step.engine != "graph":
        evidence += f"; {graph.step.fallback}"
    else:
        better = "; --engine graph would be faster" if gain >= WORTH_SAYING else ""
        evidence += f"; as a captured graph {_speed(graph, recipe)}, {gain:.2f} times that{better}"
    return Choice(precision=precision, engine="compile", reason=evidence)


def _cpu_precisions() -> list[Precision]:
    """fp32, and bf16 in both forms if the processor has instructions for it; emulated bf16 is not tried."""
    return ["fp32", "bf16", "bf16_weights"] if has_bf16(torch.device("cpu")) else ["fp32"]


def _arm(
    model: nn.Module, recipe: Recipe, loader: TrainLoader, scale: PixelScale, precision: Precision, engine: Engine
) -> _Arm:
    started = time.perf_counter()
    step = TrainingStep(copied(model), recipe, scale=scale, precision=precision, engine=engine)
    step.warm_up(loader.chunks(0, 2))
    return _Arm(step, time.perf_counter() - started, [])


def _measure(arms: list[_Arm], loader: TrainLoader, probe_s: float = PROBE_S) -> None:
    """Sample each arm in turn, a few steps at a time, for `probe_s` each."""
    synchronize = synchronizer(loader.labels.device)
    images, labels = next(loader.chunks(0, 4))
    batch_size = loader.batch_size

    def seconds_per_step(arm: _Arm, steps: int) -> float:
        synchronize()
        before = time.perf_counter()
        arm.step.chunk(images[: steps * batch_size], labels[: steps * batch_size], [arm.step.recipe.lr] * steps)
        synchronize()
        return (time.perf_counter() - before) / steps

    # Not counted: building a later arm reset the compiler, whose cost is not part of an earlier arm's speed.
    slowest_s = max(seconds_per_step(arm, 1) for arm in arms)
    steps = 1 if slowest_s > probe_s else len(labels) // batch_size
    started, limit_s = time.perf_counter(), probe_s * len(arms)
    while (spent_s := time.perf_counter() - started) < limit_s or len(arms[0].samples_s) < MIN_SAMPLES:
        if arms[0].samples_s and spent_s > 10 * limit_s:
            break
        for arm in arms:
            arm.samples_s.append(seconds_per_step(arm, steps))


def _logit_error(arm: _Arm, model: nn.Module, loader: TrainLoader) -> float:
    """RMS difference of the first batch's logits from fp32 eager's, relative to theirs; both in eval mode."""
    from fmnist_zoo.evaluation import Predictor

    images, _ = next(loader.batches(0, 1))
    reference = Predictor(copy.deepcopy(model), scale=arm.step.scale)(images)
    logits = Predictor(copy.deepcopy(model), scale=arm.step.scale, precision=arm.step.precision)(images)
    size = reference.square().mean().sqrt().clamp_min(torch.finfo(torch.float32).tiny)
    return float((logits - reference).square().mean().sqrt() / size)


def _compile_or_not(
    eager: _Arm, model: nn.Module, recipe: Recipe, loader: TrainLoader, scale: PixelScale, num_steps: int
) -> tuple[Engine, str]:
    """Whether compilation pays off within this run; measured only if it could."""
    eager_s = eager.step_s * num_steps
    if recipe.budget.kind == "seconds":
        return "eager", NOT_IN_SECONDS
    if eager_s * (1 - 1 / LARGEST_COMPILE_GAIN) < SMALLEST_SAVING_S:
        return "eager", f"compilation not tried: all steps take {eager_s:.1f} s eagerly, too little to repay it"
    compiled = _arm(model, recipe, loader, scale, eager.step.precision, "compile")
    if compiled.step.engine == "eager":
        return "eager", compiled.step.fallback or ""
    eager.samples_s.clear()
    _measure([eager, compiled], loader)
    eager_s = eager.step_s * num_steps
    engine: Engine = "compile" if compiled.total_s(num_steps) < eager_s else "eager"
    return (
        engine,
        f"compilation takes {compiled.set_up_s:.1f} s, then {_speed(compiled, recipe)}; eager {_speed(eager, recipe)}",
    )


def _speed(arm: _Arm, recipe: Recipe) -> str:
    return f"{recipe.batch_size / arm.step_s:,.0f} img/s"
