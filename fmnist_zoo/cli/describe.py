"""`python -m fmnist_zoo describe`: a model layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from tabulate import tabulate
from torch import nn

from fmnist_zoo.checkpoint import load_checkpoint
from fmnist_zoo.cli.config import DescribeConfig
from fmnist_zoo.describe import Layer, WeightStatistics, model_layers, weight_statistics
from fmnist_zoo.flops import count_flops
from fmnist_zoo.registry import create_model, get_spec, load_plugin, select_models
from fmnist_zoo.spec import format_option, nearest


def describe_text(options: DescribeConfig) -> str:
    """Every model that was asked for; ValueError where one is unknown or an option doesn't fit."""
    for path in options.plugin:
        load_plugin(path)
    if not options.models:
        raise ValueError("name a model to describe, such as cnn; `python -m fmnist_zoo list` shows all")
    folders = [text for text in options.models if _names_folder(text)]
    names = select_models([text for text in options.models if text not in folders])
    changes = _changes(options.set, names)
    parts = []
    for name in names:
        torch.manual_seed(0)
        own = changes.get(name, {})
        parts.append(_model_text(name, create_model(name, **own), own, with_values=options.weights))
    for folder in folders:
        saved = load_checkpoint(Path(folder))
        own = saved.config["options"]
        parts.append(_model_text(saved.config["model"], saved.model, own, with_values=options.weights))
    return "\n\n\n".join(parts)


def layer_table(layers: Sequence[Layer]) -> str:
    """Layers, one a line, and their sum."""
    rows = [
        [
            layer.name or "(the model itself)",
            layer.kind,
            " x ".join(map(str, layer.output_shape)),
            f"{layer.num_params:,}" if layer.num_params else "",
            f"{layer.macs:,}" if layer.macs else "",
            " x ".join(map(str, layer.receptive_field)) if layer.receptive_field else "",
        ]
        for layer in layers
    ]
    total = [f"{sum(layer.num_params for layer in layers):,}", f"{sum(layer.macs for layer in layers):,}"]
    rows.append(["total", "", "", *total, ""])
    headers = ["layer", "kind", "output", "parameters", "MACs", "sees, pixels"]
    align = ("left", "left", "left", "right", "right", "right")
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def weight_table(statistics: Sequence[WeightStatistics], *, with_values: bool) -> str:
    """What each weight, bias and running average holds, one a line."""
    rows = [
        [
            one.name,
            " x ".join(map(str, one.shape)) or "1",
            *(f"{value:.4g}" for value in (one.mean, one.std, one.least, one.greatest)),
            *([", ".join(f"{value:.3g}" for value in one.first_values)] if with_values else []),
        ]
        for one in statistics
    ]
    headers = ["tensor", "shape", "mean", "std", "least", "greatest", *(["first values"] if with_values else [])]
    align = ("left", "left", *["right"] * 4, *(["left"] if with_values else []))
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def _model_text(name: str, model: nn.Module, changes: Mapping[str, str], *, with_values: bool) -> str:
    spec, cost = get_spec(name), count_flops(model)
    options = "".join(f" {option}={format_option(value)}" for option, value in changes.items())
    work = (
        f"for one image: {cost.forward_flops / 2e6:,.4g} million MACs forward; forward and backward "
        f"{cost.training_flops / 1e6:,.4g} million FLOPs (1 MAC = 2 FLOPs)"
    )
    lines = [
        f"{name}{options}: {'by default ' if changes else ''}{spec.summary}",
        f"family {spec.family}; after {spec.reference}",
        work,
        "",
        layer_table(model_layers(model)),
        "",
        weight_table(weight_statistics(model), with_values=with_values),
    ]
    return "\n".join(lines)


def _names_folder(text: str) -> bool:
    return Path(text).is_dir() or ("/" in text and not text.startswith("timm/"))


def _changes(texts: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Options by model, from --set."""
    changes: dict[str, dict[str, str]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        model, dot, option = target.rpartition(".")
        if not (equals and dot and option):
            raise ValueError(f"--set {text!r} is not of the form MODEL.OPTION=VALUE, such as mlp.hidden=256-128-64")
        if model not in names:
            raise ValueError(f"--set {text!r}: {model!r} isn't described{nearest(model, names)}")
        changes.setdefault(model, {})[option] = value
    return changes
