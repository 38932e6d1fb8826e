"""Short row labels: the model, and the settings that vary."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.records.record import config_key

BARE = ("precision", "engine")
"""Settings shown by value only: `cnn fp32 eager`."""

TUNED = ("lr", "weight_decay")
"""Tuned per model on the equal track; on other tracks the whole recipe is the model's own."""


def variant_labels(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Label of each configuration (`config` of a record), with only the settings that vary.

    `mlp` and `cnn`, `mlp lr=0.003` and `mlp lr=0.01`, `mlp` and `mlp hidden=512-256`, `cnn fp32 eager` and
    `cnn bf16 compile`. A model's own recipe tells its variants apart, not the models: if each model has one learning
    rate of its own, labels omit it. Configurations that differ never get the same label.
    """
    flats = [settings(config) for config in configs]
    values: dict[tuple[str, ...], set[str | None]] = defaultdict(set)
    for name in {name for flat in flats for name in flat}:
        for config, flat in zip(configs, flats, strict=True):
            values[name, *_peers(name, config)].add(flat.get(name))
    labels = []
    for config, flat in zip(configs, flats, strict=True):
        varying = [name for name in flat if len(values[name, *_peers(name, config)]) > 1]
        labels.append(" ".join([config["model"], *(setting_text(name, flat[name]) for name in varying)]))
    return _told_apart(labels, configs)


def settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Configuration without the model, flat and as text: `recipe.lr` -> `0.003`, in the order of labels."""
    groups = [
        {f"model_options.{name}": value for name, value in sorted(config["model_options"].items())},
        {f"recipe.{name}": value for name, value in sorted(config["recipe"].items())},
        {name: config[name] for name in BARE},
        {name: config[name] for name in sorted(set(config) - {"model", "model_options", "recipe", *BARE})},
    ]
    return {name: _text(value) for group in groups for name, value in group.items()}


def setting_text(name: str, value: str) -> str:
    """One of the `settings` in label form: `lr=0.003`, or `fp32` for the precision."""
    return value if name in BARE else f"{name.rpartition('.')[2]}={value}"


def _peers(name: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Key of the configurations among which a setting is compared."""
    group, _, field = name.partition(".")
    if group != "recipe":
        return ()
    own = config["track"] != "equal" or field in TUNED
    return (config["track"], config["model"]) if own else (config["track"],)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return "none" if value is None else json.dumps(value, sort_keys=True)


def _told_apart(labels: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Add the start of the config key to labels that print alike (the text `1` and the number 1)."""
    times = Counter(labels)
    keys = [config_key(config) if times[label] > 1 else "" for label, config in zip(labels, configs, strict=True)]
    owners: dict[str, set[str]] = defaultdict(set)
    for label, key in zip(labels, keys, strict=True):
        owners[label].add(key)
    return [f"{label} #{key[:8]}" if len(owners[label]) > 1 else label for label, key in zip(labels, keys, strict=True)]
