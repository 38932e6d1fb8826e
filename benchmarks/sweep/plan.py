"""From options to a plan: which variants are run, checked as a whole before the first one starts."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from benchmarks.records.record import config_key
from benchmarks.records.row_labels import variant_labels
from benchmarks.records.schema import Config, Flag
from benchmarks.sweep.code_checksum import code_checksum
from benchmarks.sweep.config import PRESETS, RECIPE_AXES, Measures, Preset, RunConfig, Track, num_val, recipe_for
from fmnist_zoo.data.catalog import NUM_CLASSES
from fmnist_zoo.flops import FlopCount, count_flops
from fmnist_zoo.recipe import Augmentation, Budget, Engine, Precision, Recipe
from fmnist_zoo.registry import create_model, get_spec, load_plugin, select_models
from fmnist_zoo.spec import nearest, option_types
from fmnist_zoo.training.device import check_engine, resolve_device
from fmnist_zoo.training.modules import check_loss, trainable
from fmnist_zoo.training.precision import check_precision

MOST_SEEDS = 1000
NUM_IMAGES = 60_000  # of the training split, in each of the three datasets


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One row of the tables: a configuration, run once for each seed.

    Attributes:
        config: what a record calls `config`; all that a worker needs to know of the experiment.
        key: of the configuration, the same in every sweep: `benchmarks.records.record.config_key`.
        label: what distinguishes it within the plan.
        family: of the model.
        num_params: of the model.
        flops: of the model for one image, counted here: a process that is timed must not count.
        flags: go into each of its records.
        code: `benchmarks.sweep.code_checksum.code_checksum` of the model and its training.
    """

    config: Config
    key: str
    label: str
    family: str
    num_params: int
    flops: FlopCount
    flags: tuple[Flag, ...]
    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The variants of a sweep, the seeds of each, and what is measured beside training."""

    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    measures: Measures
    device: str
    deterministic: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Setting:
    """What all variants of a plan share."""

    track: Track
    preset: Preset
    device: torch.device
    dataset: str
    deterministic: bool


def make_plan(options: RunConfig) -> Plan:
    """Expand the axes of the options and check every combination.

    Raises:
        ValueError: something is unknown, contradictory or impossible on this device; nothing has been run then.
    """
    for path in options.plugin:
        load_plugin(path)
    names = select_models(options.models)
    device = resolve_device(options.device)
    preset = ("standard" if device.type == "cuda" else "quick") if options.preset == "auto" else options.preset
    track = _track(names) if options.track == "auto" else options.track
    measures = PRESETS[preset]
    if options.measure:
        measures = replace(measures, measure=options.measure)
    seeds = measures.seeds if options.seeds is None else options.seeds
    if not names:
        raise ValueError("--models names no model; give at least one, such as mlp")
    if not 1 <= seeds <= MOST_SEEDS:
        raise ValueError(f"--seeds {seeds} must lie between 1 and {MOST_SEEDS}")
    if options.checkpoint_every is not None and options.checkpoint_every < 1:
        raise ValueError(f"--checkpoint-every {options.checkpoint_every} must be at least 1 epoch")
    model_axes = _model_axes(names, options)
    setting = _Setting(
        track=track, preset=preset, device=device, dataset=options.dataset, deterministic=options.deterministic
    )
    variants = [
        _variant(name, model_options, recipe, execution, setting)
        for name in names
        for model_options in model_axes[name]
        for recipe in _recipes(name, track, measures, options)
        for execution in itertools.product(options.precision, options.engine)
    ]
    unique = list({variant.key: variant for variant in variants}.values())
    labels = variant_labels([variant.config for variant in unique])
    return Plan(
        variants=tuple(replace(variant, label=label) for variant, label in zip(unique, labels, strict=True)),
        seeds=tuple(range(seeds)),
        measures=measures,
        device=str(device),
        deterministic=options.deterministic,
    )


def _track(names: Sequence[str]) -> Track:
    """Tutorial nets alone are run as their tutorials do; everything else on equal terms."""
    return "published" if all("tutorials" in get_spec(name).tags for name in names) else "equal"


def _model_axes(names: Sequence[str], options: RunConfig) -> dict[str, list[dict[str, str]]]:
    """The combinations of option values for each model, from --set and --activation."""
    axes: dict[str, dict[str, list[str]]] = {name: {} for name in names}
    for text in options.set:
        target, equals, value = text.partition("=")
        model, dot, option = target.rpartition(".")
        if not (equals and dot and option):
            raise ValueError(f"--set {text!r} is not of the form MODEL.OPTION=VALUE, such as mlp.hidden=256-128-64")
        if model not in axes:
            raise ValueError(f"--set {text!r}: --models doesn't run {model!r}{nearest(model, names)}")
        axes[model].setdefault(option, []).append(value)
    for name in names:
        # Not every architecture has the option (an LSTM's activations are what makes it one): those are run as they
        # are.
        if options.activation and "activation" in (option_types(get_spec(name).build) or {}):
            axes[name].setdefault("activation", []).extend(options.activation)
    return {
        name: [dict(zip(axis, values, strict=True)) for values in itertools.product(*axis.values())]
        for name, axis in axes.items()
    }


def _recipes(name: str, track: Track, measures: Measures, options: RunConfig) -> list[Recipe]:
    """The recipe of a model with every combination of the fields that the command line sets."""
    axes: dict[str, list[Any]] = {
        field: list(getattr(options, field)) for field in RECIPE_AXES if getattr(options, field)
    }
    for field, parse in (("budget", Budget.parse), ("augmentation", Augmentation.parse)):
        if field in axes:
            axes[field] = [parse(text) for text in axes[field]]
    spec = get_spec(name)
    changes = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    return [replace(recipe_for(spec, track, measures, change.get("optimizer"))[0], **change) for change in changes]


def _variant(
    name: str,
    model_options: dict[str, str],
    recipe: Recipe,
    execution: tuple[Precision | Literal["auto"], Engine | Literal["auto"]],
    setting: _Setting,
) -> Variant:
    """One combination, checked: the model is built once, and its parameters counted."""
    spec, (precision, engine) = get_spec(name), execution
    held_out = num_val(setting.track)
    if recipe.batch_size > NUM_IMAGES - held_out:
        raise ValueError(f"batch_size {recipe.batch_size} is larger than the {NUM_IMAGES - held_out} training images")
    if precision != "auto":
        check_precision(precision, setting.device)
    if engine != "auto":
        check_engine(engine, setting.device)
    if setting.deterministic:
        if recipe.budget.kind == "seconds":
            raise ValueError(
                f"--deterministic doesn't go with budget {recipe.budget}, whose steps are counted by a clock; use "
                "epochs:N or flops:N"
            )
        # What a measurement decides is another thing another time.
        precision = "fp32" if precision == "auto" else precision
        engine = "eager" if engine == "auto" else engine
    model = _built(name, model_options, recipe)
    _, flag = recipe_for(spec, setting.track, PRESETS[setting.preset], recipe.optimizer)
    config: Config = {
        "model": name,
        "model_options": spec.changed(model_options),
        "track": setting.track,
        "preset": setting.preset,
        "precision": precision,
        "engine": engine,
        "device": setting.device.type,
        "dataset": setting.dataset,
        "num_train": NUM_IMAGES - held_out,
        "num_val": held_out,
        "recipe": recipe.as_dict(),
    }
    if setting.deterministic:
        config["deterministic"] = True
    num_params = sum(parameter.numel() for parameter in model.parameters())
    flags: tuple[Flag, ...] = ({"kind": "recipe", "evidence": flag, "advice": None},) if flag else ()
    return Variant(
        config=config,
        key=config_key(config),
        label=name,
        family=spec.family,
        num_params=num_params,
        flops=_counted(name, model),
        flags=flags,
        code=code_checksum(spec.build, model),
    )


def _counted(name: str, model: nn.Module) -> FlopCount:
    try:
        return count_flops(model)
    except Exception as error:
        raise ValueError(
            f"the FLOPs of {name} can't be counted: {type(error).__name__}: {error} (they are counted without data, on "
            "torch's meta device: its forward pass may not look at the values of a tensor, as .item() does)"
        ) from error


def _built(name: str, model_options: dict[str, str], recipe: Recipe) -> nn.Module:
    """The model, after one forward pass; ValueError where it could never be trained."""
    images = torch.linspace(-1.0, 1.0, 2 * 28 * 28).view(2, 1, 28, 28)
    try:
        model = create_model(name, **model_options)
        with torch.inference_mode():
            logits = model.eval()(images)
            alone = model(images[:1])
    except ValueError:  # of an option, which it names
        raise
    except (Exception, SystemExit) as error:
        raise ValueError(f"{name} can't be built and run: {type(error).__name__}: {error}") from error
    given = tuple(logits.shape) if isinstance(logits, torch.Tensor) else f"a {type(logits).__name__}"
    if given != (2, NUM_CLASSES):
        raise ValueError(f"{name} turns 2 images into {given}; it must give logits (2, {NUM_CLASSES})")
    if logits.isnan().any():
        raise ValueError(f"{name} gives logits that are no numbers (NaN) before any training")
    if not torch.allclose(logits[:1], alone, rtol=1e-3, atol=1e-3):
        raise ValueError(
            f"{name} gives an image other logits alone than beside another one, in evaluation mode: it must classify "
            "each by itself (is a normalisation without running statistics in it?)"
        )
    if not trainable(model):
        raise ValueError(f"{name} has no parameter to train")
    if recipe.batch_size == 1 and any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()
    ):
        raise ValueError(f"batch_size 1 doesn't go with the batch normalisation of {name}; give at least 2")
    check_loss(model, recipe)
    return model
