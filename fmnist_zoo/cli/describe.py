"""`python -m fmnist_zoo describe`: a model layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from fmnist_zoo.cli.child import ModelFailedError, ModelProcess
from fmnist_zoo.cli.config import DescribeConfig
from fmnist_zoo.spec import format_option, nearest, option_defaults, option_types, split_setting

if TYPE_CHECKING:
    from torch import nn

    from fmnist_zoo.describe import Layer, WeightStatistics


def describe_text(options: DescribeConfig) -> tuple[str, int]:
    """Describe each requested model; returns text and exit code, 1 if a model failed (its text is then the error).

    Raises:
        ValueError: a model is unknown, or an option is invalid.
    """
    if not options.models:
        raise ValueError("name a model to describe, such as cnn; `python -m fmnist_zoo list` shows all")
    folders = [text for text in options.models if _names_folder(text)]
    named = [text for text in options.models if text not in folders]
    parts, code = list[str](), 0
    with ModelProcess(options.plugin) as process:
        names = process.selected(named) if named else []
        changes = _changes(options.set, names)
        for name in names:
            own = changes.get(name, {})
            try:
                parts.append(process.call(_model_text, name, own, options.weights))
            except (ModelFailedError, ValueError) as error:
                if own and isinstance(error, ValueError):
                    raise
                parts.append(f"{name}: failed: {error}")
                code = 1
        parts += [process.call(_saved_text, folder, options.weights) for folder in folders]
        warnings = [f"warning: {sentence}" for sentence in process.warnings]
    return "\n\n\n".join([*warnings, *parts]), code


def layer_table(layers: Sequence[Layer]) -> str:
    """One row per layer, and the total."""
    rows = [
        [
            layer.name or "(model)",
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
    headers = ["layer", "kind", "output", "parameters", "MACs", "receptive field"]
    align = ("left", "left", "left", "right", "right", "right")
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def weight_table(statistics: Sequence[WeightStatistics], *, with_values: bool) -> str:
    """One row per weight, bias and running average."""
    rows = [
        [
            one.name,
            " x ".join(map(str, one.shape)) or "1",
            *(f"{value:.4g}" for value in (one.mean, one.std, one.least, one.greatest)),
            *([", ".join(f"{value:.3g}" for value in one.first_values)] if with_values else []),
        ]
        for one in statistics
    ]
    headers = ["tensor", "shape", "mean", "std", "min", "max", *(["first values"] if with_values else [])]
    align = ("left", "left", *["right"] * 4, *(["left"] if with_values else []))
    return tabulate(rows, headers, disable_numparse=True, colalign=align)


def _model_text(name: str, changes: Mapping[str, str], with_values: bool) -> str:
    import torch

    from fmnist_zoo.registry import create_model

    torch.manual_seed(0)
    return _text(name, create_model(name, **changes), changes, with_values=with_values)


def _saved_text(folder: str, with_values: bool) -> str:
    from fmnist_zoo.checkpoint import load_checkpoint

    saved = load_checkpoint(Path(folder))
    return _text(saved.config["model"], saved.model, saved.config["options"], with_values=with_values)


def _text(name: str, model: nn.Module, changes: Mapping[str, str], *, with_values: bool) -> str:
    from fmnist_zoo.describe import model_layers, weight_statistics
    from fmnist_zoo.flops import count_flops
    from fmnist_zoo.registry import get_spec

    spec, cost = get_spec(name), count_flops(model)
    kinds, values = option_types(spec.build), option_defaults(spec)
    possible = "any timm option"
    if kinds is not None:
        possible = ", ".join(f"{one}={format_option(values[one])}" for one in kinds if one != "num_classes")
    options = "".join(f" {option}={format_option(value)}" for option, value in changes.items())
    work = (
        f"per image: {cost.forward_flops / 2e6:,.4g} million MACs forward, "
        f"{cost.training_flops / 1e6:,.4g} million FLOPs forward and backward (1 MAC = 2 FLOPs)"
    )
    lines = [
        f"{name}{options}: {'by default ' if changes else ''}{spec.summary}",
        f"family {spec.family}; reference: {spec.reference}",
        f"options (defaults): {possible or 'none'}",
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
        model, option, value = split_setting(text)
        if model not in names:
            raise ValueError(f"--set {text!r}: {model!r} is not one of the models to describe{nearest(model, names)}")
        changes.setdefault(model, {})[option] = value
    return changes
