"""Trained models on disk: weights as safetensors, beside a JSON file with what is needed to build the model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from safetensors import SafetensorError
from torch import nn

from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.files import read_regular, replacing, write_atomically
from fmnist_zoo.recipe import InputScaling
from fmnist_zoo.registry import create_model

WEIGHTS, CONFIG = "weights.safetensors", "model.json"
_FORMAT = 1
_CONFIG_LIMIT_BYTES: Final = 1 << 20
_UNREADABLE: Final = (OSError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError, SafetensorError)
"""Raised by torch, safetensors and model builders for invalid files and options."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A saved model.

    Attributes:
        model: in evaluation mode, on the CPU.
        scale: maps pixels to the floats it was trained on.
        config: contents of the JSON file: name, options, class names, input scaling.
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
    """Write a model built by `create_model(name, **options)` into a folder, created if missing.

    Each file is written atomically and the configuration last, so a folder that has one is complete.

    Raises:
        WriteError: a file can't be written.
    """
    from safetensors.torch import save_model

    with replacing(folder / WEIGHTS) as weights:
        try:
            save_model(model, str(weights))
        except SafetensorError as error:  # how it says that the disk is full
            raise OSError(str(error)) from error
    config = {
        "format": _FORMAT,
        "model": name,
        "options": options,
        "input_scaling": input_scaling,
        "mean": mean,
        "std": std,
        "class_names": list(class_names),
    }
    write_atomically(folder / CONFIG, (json.dumps(config, indent=1) + "\n").encode())


def load_checkpoint(folder: Path) -> Checkpoint:
    """Build the model saved in a folder, with its weights.

    No code in the folder is run: the configuration is JSON that names a registered model, and the weights are plain
    numbers.

    Raises:
        ValueError: no complete checkpoint in the folder, or one of another version.
    """
    from safetensors.torch import load_model

    try:
        config = _config(folder / CONFIG)
        model = create_model(config["model"], **config["options"])
        num_names = len(config["class_names"])
        if getattr(model, "num_classes", num_names) != num_names:
            raise ValueError(f"{CONFIG} lists {num_names} classes, the model has {model.num_classes}")
        if not (folder / WEIGHTS).is_file():
            raise FileNotFoundError(f"{WEIGHTS} is missing or not a file")
        load_model(model, str(folder / WEIGHTS))
        scale = PixelScale(config["input_scaling"], mean=config["mean"], std=config["std"])
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())  # torch's have several lines
        raise ValueError(f"{folder} holds no readable checkpoint ({WEIGHTS} and {CONFIG}): {reason}") from error
    return Checkpoint(model=model.eval(), scale=scale, config=config)


def _config(path: Path) -> dict[str, Any]:
    """Contents of a checkpoint's JSON file; ValueError or OSError if it isn't one."""
    config = json.loads(read_regular(path, _CONFIG_LIMIT_BYTES))
    if not isinstance(config, dict) or config.get("format") != _FORMAT:
        found = config.get("format") if isinstance(config, dict) else None
        raise ValueError(f"{CONFIG} has format {found!r:.20}, this version reads {_FORMAT}")
    names = config.get("class_names")
    wrong = {
        "model": not isinstance(config.get("model"), str),
        "options": not isinstance(config.get("options"), dict),
        "input_scaling": config.get("input_scaling") not in get_args(InputScaling),
        "mean": not _is_number(config.get("mean")),
        "std": not _is_number(config.get("std"), above=0.0),
        "class_names": not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names),
    }
    if fields := [name for name, is_wrong in wrong.items() if is_wrong]:
        raise ValueError(f"{CONFIG} has missing or invalid fields: {', '.join(fields)}")
    return config


def _is_number(value: object, *, above: float = -math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and above < value < math.inf
