"""The typed options of `python -m benchmarks.run`, and the recipe that a track and a preset give a model.

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


@dataclass(frozen=True, kw_only=True, slots=True)
class RunConfig:
    """Train image classifiers on Fashion-MNIST, measure them, and write accuracy and throughput tables.

    Options that take several values are axes: each combination becomes a row of its own.
    """

    models: tuple[str, ...] = ("all",)
    """Names, globs (lstm*), all (the five families), tutorials, or timm/NAME."""
    preset: Preset | Literal["auto"] = "auto"
    """quick: 5 epochs, 1 seed (default on a CPU). standard: 20 epochs, 3 seeds (default on CUDA). full: 60 epochs, 5
    seeds."""
    track: Track | Literal["auto"] = "auto"
    """equal: one recipe for all, 55,000 images to train and 5,000 to validate (default). best: each model's own recipe,
    all 60,000 images. published: the recipe of a net's tutorial (default where only tutorial nets are named)."""
    budget: tuple[str, ...] = ()
    """When training ends: epochs:N, seconds:N or flops:N. Default: the preset's epochs; on track published the
    tutorial's."""
    precision: tuple[Precision | Literal["auto"], ...] = ("auto",)
    """auto: on CUDA bf16 (else fp16) autocast, on a CPU the fastest by measurement that agrees with fp32."""
    engine: tuple[Engine | Literal["auto"], ...] = ("auto",)
    """auto: on CUDA compile, on a CPU compile only where it pays for itself within the run. graph: on CUDA, the whole
    step captured and replayed."""
    seeds: int | None = None
    """Runs of each variant, with seeds 0 to N-1. Default: the preset's."""
    batch_size: tuple[int, ...] = ()
    """Images a step."""
    lr: tuple[float, ...] = ()
    """Highest learning rate."""
    weight_decay: tuple[float, ...] = ()
    optimizer: tuple[Optimizer, ...] = ()
    momentum: tuple[float, ...] = ()
    """Of SGD and RMSprop."""
    schedule: tuple[Schedule, ...] = ()
    lr_warmup_fraction: tuple[float, ...] = ()
    """Share of the budget in which the learning rate rises."""
    loss: tuple[Loss, ...] = ()
    label_smoothing: tuple[float, ...] = ()
    input_scaling: tuple[InputScaling, ...] = ()
    augmentation: tuple[str, ...] = ()
    """none, or a list such as shift:2,flip,erase:0.25."""
    ema_decay: tuple[float, ...] = ()
    """Average the weights over the steps, and evaluate the average."""
    clip_grad_norm: tuple[float, ...] = ()
    activation: tuple[str, ...] = ()
    """relu, gelu, silu, tanh or sigmoid, for the models that have the option."""
    set: tuple[str, ...] = ()
    """Model options: mlp.hidden=256-128-64. The same option with another value makes another row."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 or mps."""
    dataset: DatasetName = "fashion_mnist"
    data_dir: Path | None = None
    """Folder with the four idx files, gzipped or not. Default: FMNIST_ZOO_DATA, else found or downloaded."""
    out: Path = Path("results")
    """Where records and tables go, in a folder named after the machine."""
    save_weights: bool = False
    """Keep each run's weights (safetensors) and configuration."""
    measure: tuple[Measure, ...] = ()
    """Beside throughput, memory and compiling, in place of the preset's: latency; step_shares, the parts of a training
    step; batch_sizes, the throughput over batch sizes."""
    profile: bool = False
    """After each run, write down where the time of a training step goes, and a trace for Perfetto."""
    plugin: tuple[Path, ...] = ()
    """Python files that register further models."""
    resume: bool = False
    """Go on with a sweep where it stopped: a run that was finished, or failed, with the same code of model and
    training, data, versions and hardware isn't done again, and one under way goes on from its checkpoint."""
    retry_failed: bool = False
    """The same, and do again what failed: implies --resume."""
    checkpoint_every: int | None = None
    """Keep the state of the running training after so many epochs, and after the last."""
    deterministic: bool = False
    """The same bits in each run: only deterministic kernels, and auto means fp32 and eager, nothing measured.
    `python -m benchmarks.selfcheck --what determinism` tells what that costs."""
    figures: bool = True
    """Draw the figures of the machine's page when all is done; tables are written after each run, with or without."""
    quiet: bool = False
    """Say only which runs aren't ok or are at chance level, and at the end how many are ok and where the tables are."""
    json: bool = False
    """Write events to standard output, one JSON object a line, and nothing else there, --quiet or not;
    benchmarks/sweep/display/events.py describes them."""
    timeout: float | None = None
    """Seconds after which a run that has not ended is ended, with all that it started; its status is then timeout."""
    on_oom: OnOom = "fail"
    """When memory runs out: fail, or halve the batch until it fits. The learning rate stays; every table marks the
    row."""
    in_process: bool = False
    """For debugging: train in this process, where a debugger can stop it, and not in one for each variant. A crash then
    ends the sweep, no --timeout can be set, precisions and engines aren't compared, and no speed can be trusted."""
    list: bool = False
    """Show the models that there are, and end."""
    dry_run: bool = False
    """Show what would be run, with an estimate of the time from a few steps of each, and end."""

    @property
    def resumes(self) -> bool:
        """Whether what an earlier sweep has finished isn't done again."""
        return self.resume or self.retry_failed


@dataclass(frozen=True, kw_only=True, slots=True)
class Measures:
    """What a preset trains and measures."""

    epochs: int
    seeds: int
    measure: tuple[Measure, ...]
    """Beside throughput, memory and what compiling took."""
    limit_s: float
    """For each throughput, after which it is taken as precise as it is. On two cores of an EPYC `mlp` takes 10 s for
    its quick run: what is measured must add little to that."""
    augmentation: str
    """Of the equal track: five epochs are too few to need any, and longer trainings overfit without."""
    optimizer: Optimizer
    """Of the equal track: Muon where there is little time, AdamW where there is enough."""


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
"""Where a model isn't tuned for an optimizer: a usual rate, if it isn't the recipe's own."""


def recipe_for(
    spec: ModelSpec, track: Track, preset: Measures, optimizer: Optimizer | None = None
) -> tuple[Recipe, str | None]:
    """A model's recipe on a track, and a sentence for the record where it isn't what the track's name promises.

    Args:
        spec: the model.
        track: `equal`, `best` or `published`.
        preset: its budget holds on the first two tracks, the rest of it on the first; a published recipe has its own.
        optimizer: of the equal track, in place of the preset's.
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
            return (replace(own, budget=budget), None) if own else (equal, "no recipe of its own: the equal track's")
        case "published":
            return (spec.published, None) if spec.published else (equal, "no published recipe: the equal track's")


def num_val(track: Track) -> int:
    """Images held out for validation: 5,000 on the equal track, none where all 60,000 train."""
    return 5000 if track == "equal" else 0
