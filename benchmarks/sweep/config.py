"""Options of `python -m benchmarks.run`, and a model's recipe by track and preset.

Reading them imports no torch, so that --help is quick.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fmnist_zoo.recipe import (
    Augmentation,
    Budget,
    Engine,
    InputScaling,
    Loss,
    Optimizer,
    Precision,
    Recipe,
    Schedule,
)

if TYPE_CHECKING:
    from fmnist_zoo.spec import ModelSpec

Measure = Literal["latency", "step_shares", "batch_sizes"]
Track = Literal["equal", "best", "published"]
Preset = Literal["quick", "standard", "full"]
OnOom = Literal["fail", "halve"]
DatasetName = Literal["fashion_mnist", "mnist", "kmnist"]

RECIPE_AXES = (
    "budget",
    "batch_size",
    "input_scaling",
    "loss",
    "optimizer",
    "lr",
    "schedule",
    "lr_warmup_fraction",
    "weight_decay",
    "momentum",
    "label_smoothing",
    "augmentation",
    "ema_decay",
    "clip_grad_norm",
)
"""Options that each replace one field of the recipe, for every model of the sweep."""


HELP_GROUPS = {
    "sweep": "models",
    "recipe": "optimizer",
    "execution": "precision",
    "measurement": "measure",
    "resuming": "resume",
    "output": "out",
}
"""Groups of options in --help, by first option."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Train image classifiers, measure them, and write tables of accuracy and throughput.

    Options that take several values are axes: each combination becomes a row of its own.

    Exit code: 0 if every run is ok, 1 if one is not or results can't be written, 2 for wrong arguments, 130 if stopped.
    The first Ctrl-C lets the current run finish, the second ends it at once.
    """

    list: bool = False
    """List available models and exit."""
    dry_run: bool = False
    """List the runs with an estimate of their time, from a few steps of each, and exit."""

    models: tuple[str, ...] = ("all",)
    """Names, globs (lstm*), all (the five families), tutorials, or timm/NAME."""
    set: tuple[str, ...] = ()
    """Model options, such as mlp.hidden=256-128-64. Several values of one option are an axis."""
    activation: tuple[str, ...] = ()
    """relu, gelu, silu, tanh or sigmoid, for models with that option."""
    plugin: tuple[Path, ...] = ()
    """Python files that register more models."""
    preset: Preset | Literal["auto"] = "auto"
    """quick: 5 epochs, 1 seed (auto on a CPU). standard: 20 epochs, 3 seeds (auto on CUDA). full: 60 epochs, 5
    seeds."""
    track: Track | Literal["auto"] = "auto"
    """equal: one recipe for all models, 55,000 training and 5,000 validation images. best: each model's own recipe, all
    60,000 images. published: the recipe of a net's tutorial. auto: equal, or published if only tutorial nets are
    named."""
    budget: tuple[str, ...] = ()
    """When training ends: epochs:N, seconds:N or flops:N. Default: the preset's epochs, on track published the
    tutorial's."""
    seeds: int | None = None
    """Runs per variant, with seeds 0 to N-1. Default: the preset's."""
    dataset: DatasetName = "fashion_mnist"
    """Dataset to train and test on."""
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""

    optimizer: tuple[Optimizer, ...] = ()
    """Optimizer; muon is Muon for the matrices of hidden layers and AdamW for the rest. Default of every option in this
    group: the track's recipe."""
    lr: tuple[float, ...] = ()
    """Peak learning rate."""
    weight_decay: tuple[float, ...] = ()
    """Weight decay, applied to matrices and kernels but not to biases and normalisation weights."""
    momentum: tuple[float, ...] = ()
    """Momentum of SGD and RMSprop."""
    batch_size: tuple[int, ...] = ()
    """Images per step."""
    schedule: tuple[Schedule, ...] = ()
    """Learning-rate schedule over the budget."""
    lr_warmup_fraction: tuple[float, ...] = ()
    """Share of the budget over which the learning rate rises."""
    loss: tuple[Loss, ...] = ()
    """Training loss; nll only for models that end in a log-softmax."""
    label_smoothing: tuple[float, ...] = ()
    """Share of the target spread evenly over all classes."""
    input_scaling: tuple[InputScaling, ...] = ()
    """Pixel values: unit to [0, 1], symmetric to [-1, 1], standardize to mean 0 and standard deviation 1."""
    augmentation: tuple[str, ...] = ()
    """none, or a list such as shift:2,flip,erase:0.25."""
    ema_decay: tuple[float, ...] = ()
    """Evaluate an exponential moving average of the weights with this decay."""
    clip_grad_norm: tuple[float, ...] = ()
    """Clip the gradient to this norm."""

    precision: tuple[Precision | Literal["auto"], ...] = ("auto",)
    """auto: bf16 (else fp16) autocast on CUDA; on a CPU the fastest measured one that agrees with fp32."""
    engine: tuple[Engine | Literal["auto"], ...] = ("auto",)
    """auto: compile on CUDA; on a CPU compile if it pays for itself within the run. graph: on CUDA, the whole step as a
    captured graph."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    deterministic: bool = False
    """Same bits in every run: deterministic kernels only, and auto means fp32 and eager. `python -m
    benchmarks.selfcheck --what determinism` measures the cost."""
    timeout: float | None = None
    """Per-run time limit in seconds; the run and its child processes are killed, and its status is timeout."""
    on_oom: OnOom = "fail"
    """When memory runs out: fail, or halve the batch until it fits. The learning rate stays, and every table marks the
    row."""
    in_process: bool = False
    """For debugging: train in this process instead of a worker process. Speeds are then not valid, a crash ends the
    sweep, and neither --timeout nor the comparison of precisions and engines is available."""

    measure: tuple[Measure, ...] = ()
    """What to measure besides throughput, memory and compile time: latency of a batch, shares of a training step, and
    throughput over batch sizes. Default: the preset's."""
    profile: bool = False
    """Profile a training step after each run, with a trace for Perfetto."""

    resume: bool = False
    """Skip runs that already finished or failed with the same configuration, code, data, versions and hardware, and
    continue an interrupted one from its checkpoint."""
    retry_failed: bool = False
    """Like --resume, but repeat failed runs."""
    checkpoint_every: int | None = None
    """Save the training state every N epochs, and after the last."""

    out: Path = Path("results")
    """Folder for records and tables, in a folder named after the machine."""
    save_weights: bool = False
    """Save each run's weights (safetensors) and configuration."""
    figures: bool = True
    """Skip the figures of the results page; tables are written after each run either way."""
    quiet: bool = False
    """Print only runs that aren't ok, and a summary at the end."""
    json: bool = False
    """Print events as JSON, one object per line, and nothing else (benchmarks/sweep/display/events.py)."""

    @property
    def resumes(self) -> bool:
        """Whether to skip runs finished by an earlier sweep."""
        return self.resume or self.retry_failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """Epochs, seeds and measurements of a preset."""

    epochs: int
    seeds: int
    measure: tuple[Measure, ...]
    """Besides throughput, memory and compile time."""
    limit_s: float
    """Time limit per throughput measurement. On two cores of an EPYC a quick run of `mlp` takes 10 s: measuring must
    add little to that."""
    augmentation: str
    """Augmentation of the equal track: five epochs need none, longer trainings overfit without."""
    optimizer: Optimizer
    """Optimizer of the equal track: Muon for short trainings, AdamW for long ones."""


PRESETS: dict[str, Measures] = {
    "quick": Measures(epochs=5, seeds=1, measure=(), limit_s=1.2, augmentation="none", optimizer="muon"),
    "standard": Measures(
        epochs=20, seeds=3, measure=("latency", "step_shares"), limit_s=10.0, augmentation="flip", optimizer="adamw"
    ),
    "full": Measures(
        epochs=60,
        seeds=5,
        measure=("latency", "step_shares", "batch_sizes"),
        limit_s=10.0,
        augmentation="flip",
        optimizer="adamw",
    ),
}

assert set(RECIPE_AXES) <= {item.name for item in fields(RunConfig)}

EQUAL = Recipe()
"""The one recipe of the equal track. A preset sets its budget, augmentation and optimizer, for all models alike;
learning rate and weight decay are tuned for each model (ModelSpec.tuned)."""
UNTUNED_LR: dict[Optimizer, float] = {"muon": 1e-2, "sgd": 5e-2}
"""Usual rate for an optimizer that a model is not tuned for, unless it is the recipe's own."""


def recipe_for(
    spec: ModelSpec, track: Track, preset: Measures, optimizer: Optimizer | None = None
) -> tuple[Recipe, str | None]:
    """A model's recipe on a track, and a caveat for the record if it isn't what the track promises.

    Args:
        spec: the model.
        track: `equal`, `best` or `published`.
        preset: its budget applies to the first two tracks, its other settings to the first only.
        optimizer: overrides the preset's on the equal track.
    """
    budget = Budget("epochs", preset.epochs)
    optimizer = optimizer or preset.optimizer
    tuned = spec.tuned.get(optimizer, {})
    equal = replace(
        EQUAL,
        budget=budget,
        augmentation=Augmentation.parse(preset.augmentation),
        optimizer=optimizer,
        lr=tuned.get("lr", UNTUNED_LR.get(optimizer, EQUAL.lr)),
        weight_decay=tuned.get("weight_decay", EQUAL.weight_decay),
    )
    match track:
        case "equal":
            untuned = f"learning rate and weight decay are not tuned for this model with {optimizer}"
            return equal, None if tuned else untuned
        case "best":
            own = spec.recipe
            return (
                (replace(own, budget=budget), None)
                if own
                else (equal, "the model has no recipe; used the equal track's")
            )
        case "published":
            return (
                (spec.published, None)
                if spec.published
                else (equal, "the model has no published recipe; used the equal track's")
            )


def num_val(track: Track) -> int:
    """Images held out for validation: 5,000 on the equal track, else none."""
    return 5000 if track == "equal" else 0
