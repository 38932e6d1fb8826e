"""Trained models on disk: weights as safetensors, and beside them a JSON file with all that is needed to build them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.recipe import InputScaling
from fmnist_zoo.registry import create_model

WEIGHTS, CONFIG = "weights.safetensors", "model.json"
_FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A model as it was saved.

    Attributes:
        model: in evaluation mode, on the CPU.
        scale: from pixels to the floats that it was trained on.
        config: what the JSON file holds: name, options, class names, input scaling.
    """

    model: nn.Module
    scale: PixelScale
    config: dict[str, Any]


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    *,
    name: str,
    options: dict[str, Any],
    input_scaling: InputScaling,
    mean: float,
    std: float,
    class_names: tuple[str, ...],
) -> None:
    """Write a model that `create_model(name, **options)` built into a folder, which is made where it is missing.

    The configuration is written last and each file appears whole, so a folder with a configuration is complete.
    """
    from safetensors.torch import save_model

    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f".{WEIGHTS}.part"
    save_model(model, str(weights))
    weights.replace(folder / WEIGHTS)
    config = {
        "format": _FORMAT,
        "model": name,
        "options": options,
        "input_scaling": input_scaling,
        "mean": mean,
        "std": std,
        "class_names": list(class_names),
    }
    part = folder / f".{CONFIG}.part"
    part.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / CONFIG)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Build and fill the model that a folder holds.

    Raises:
        ValueError: the folder holds no complete checkpoint, or one that this version can't read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if config["format"] != _FORMAT:
            raise ValueError(f"{folder / CONFIG} has format {config['format']}, this version reads {_FORMAT}")
        model = create_model(config["model"], **config["options"])
        load_model(model, str(folder / WEIGHTS))
        scale = PixelScale(config["input_scaling"], mean=config["mean"], std=config["std"])
    except (OSError, KeyError, TypeError, SafetensorError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} holds no readable checkpoint ({WEIGHTS} and {CONFIG}): {error}") from error
    return Checkpoint(model=model.eval(), scale=scale, config=config)
