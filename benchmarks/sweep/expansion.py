"""From options to configurations: axes, tracks and recipes, and all checks before building a model.

Loads plug-ins, so it runs in a worker.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import torch

from benchmarks.records.record import config_key
from benchmarks.records.schema import Config
from benchmarks.sweep.config import PRESETS, RECIPE_AXES, Measures, Preset, RunConfig, Track, num_val, recipe_for
from fmnist_zoo.recipe import Augmentation, Budget, Engine, Precision, Recipe
from fmnist_zoo.registry import get_spec, load_models, load_plugin, select_models
from fmnist_zoo.spec import nearest, option_types, split_setting
from fmnist_zoo.training.device import check_engine, resolve_device
from fmnist_zoo.training.precision import check_precision

MOST_SEEDS = 1000
NUM_IMAGES = 60_000  # training images, in each of the three datasets


@dataclass(frozen=True, kw_only=True, slots=True)
class _Setting:
    """Settings shared by all variants of a plan."""

    track: Track
    preset: Preset
    device: torch.device
    dataset: str
    deterministic: bool


def expand(job: Mapping[str, Any], emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Expand the axes of the job's `options` and check every combination.

    An event names each plug-in before it is loaded, since it may end the process.

    Returns:
        Fields of a `Plan`, with those of a `Variant` known before building its model; or `refused`, why options are
        unknown, contradictory or impossible on this device.
    """
    options = msgspec.convert(job["options"], RunConfig, dec_hook=lambda kind, value: kind(value))

    def say(plugin: str) -> None:
        emit({"event": "loading", "plugin": plugin})

    with warnings.catch_warnings(record=True) as caught:
        load_models(leave_out=job["leave_out"], say=say)
    try:
        for path in options.plugin:
            say(str(path))
            load_plugin(path)
        return {**_expanded(options), "warnings": [str(warning.message) for warning in caught]}
    except ValueError as error:
        return {"refused": str(error)}


def _expanded(options: RunConfig) -> dict[str, Any]:
    names = select_models(options.models)
    device = resolve_device(options.device)
    preset = ("standard" if device.type == "cuda" else "quick") if options.preset == "auto" else options.preset
    track = _track(names) if options.track == "auto" else options.track
    measures = PRESETS[preset]
    seeds = measures.seeds if options.seeds is None else options.seeds
    if not names:
        raise ValueError("--models is empty; give at least one model, such as mlp")
    if not 1 <= seeds <= MOST_SEEDS:
        raise ValueError(f"--seeds {seeds} must be between 1 and {MOST_SEEDS}")
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
    unique = list({variant["key"]: variant for variant in variants}.values())
    return {"variants": unique, "seeds": seeds, "preset": preset, "device": str(device)}


def _track(names: Sequence[str]) -> Track:
    """Track published for tutorial nets alone, else equal."""
    return "published" if all("tutorials" in get_spec(name).tags for name in names) else "equal"


def _model_axes(names: Sequence[str], options: RunConfig) -> dict[str, list[dict[str, str]]]:
    """Combinations of option values for each model, from --set and --activation."""
    axes: dict[str, dict[str, list[str]]] = {name: {} for name in names}
    for text in options.set:
        model, option, value = split_setting(text)
        if model not in axes:
            raise ValueError(f"--set {text!r}: {model!r} is not among --models{nearest(model, names)}")
        axes[model].setdefault(option, []).append(value)
    for name in names:
        # Models without the option (an LSTM's activations are part of it) run unchanged.
        if options.activation and "activation" in (option_types(get_spec(name).build) or {}):
            axes[name].setdefault("activation", []).extend(options.activation)
    return {
        name: [dict(zip(axis, values, strict=True)) for values in itertools.product(*axis.values())]
        for name, axis in axes.items()
    }


def _recipes(name: str, track: Track, measures: Measures, options: RunConfig) -> list[Recipe]:
    """A model's recipe with every combination of the fields set on the command line."""
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
) -> dict[str, Any]:
    """One combination, checked as far as possible without its model."""
    spec, (precision, engine) = get_spec(name), execution
    held_out = num_val(setting.track)
    if recipe.batch_size > NUM_IMAGES - held_out:
        raise ValueError(
            f"--batch-size {recipe.batch_size} exceeds the {NUM_IMAGES - held_out} training images; use a smaller one"
        )
    if precision != "auto":
        check_precision(precision, setting.device)
    if engine != "auto":
        check_engine(engine, setting.device)
    if setting.deterministic:
        if recipe.budget.kind == "seconds":
            raise ValueError(
                f"--deterministic can't be combined with budget {recipe.budget}, whose steps depend on time; use "
                "epochs:N or flops:N"
            )
        # A measured choice is not reproducible.
        precision = "fp32" if precision == "auto" else precision
        engine = "eager" if engine == "auto" else engine
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
    return {
        "config": config,
        "key": config_key(config),
        "label": name,
        "family": spec.family,
        "flags": [{"kind": "recipe", "evidence": flag, "advice": None}] if flag else [],
        "plugins": [spec.plugin] if spec.plugin else [],
    }
