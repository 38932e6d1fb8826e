"""Class probabilities of pictures, and the files that arguments name."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from fmnist_zoo.checkpoint import CONFIG, Checkpoint
from fmnist_zoo.evaluation import Predictor
from fmnist_zoo.predict.image import Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """A class and its predicted probability, from 0 to 1."""

    class_name: str
    probability: float


def class_probabilities(checkpoint: Checkpoint, images: UInt8[Tensor, "n 1 28 28"]) -> Float[Tensor, "n classes"]:
    """Probability of each class, computed on the CPU in fp32; the model is not changed."""
    return Predictor(checkpoint.model, scale=checkpoint.scale).logits(images).softmax(1)


def as_images(pictures: Sequence[Picture]) -> UInt8[Tensor, "n 1 28 28"]:
    """Pictures as a batch of model inputs."""
    pixels: UInt8[ndarray, "n 28 28"] = np.stack([picture.pixels for picture in pictures])
    return torch.from_numpy(pixels).unsqueeze(1)


def top_guesses(probabilities: Float[Tensor, " classes"], class_names: Sequence[str], *, k: int = 3) -> list[Guess]:
    """The `k` most probable classes, best first."""
    values, labels = probabilities.topk(min(k, len(class_names)))
    return [
        Guess(class_name=class_names[label], probability=value)
        for label, value in zip(labels.tolist(), values.tolist(), strict=True)
    ]


def find_checkpoint(text: str) -> Path:
    """The folder of the trained model named by a path or glob.

    Raises:
        ValueError: no match, or several.
    """
    if (Path(text) / CONFIG).is_file():
        return Path(text)
    advice = "`python -m benchmarks.run --save-weights` creates results/MACHINE/weights/RUN_ID"
    if Path(text).exists():
        raise ValueError(f"--model {text} is not a trained model: it has no {CONFIG}; {advice}")
    found = sorted(path for path in map(Path, glob.glob(text)) if (path / CONFIG).is_file())  # noqa: PTH207
    if not found:
        raise ValueError(f"--model {text} matches no trained model; {advice}")
    if len(found) > 1:
        raise ValueError(f"--model {text} matches {len(found)} trained models; name one, such as {found[-1]}")
    return found[0]


def find_pictures(texts: Sequence[str]) -> list[Path]:
    """Files named by paths, globs and folders, in order, without repeats; from folders, files with an image suffix.

    Raises:
        ValueError: a glob matches nothing, or a folder has no image file.
    """
    found: dict[Path, None] = {}
    for text in texts:
        is_path = Path(text).exists() or not glob.has_magic(text)
        matches = [Path(text)] if is_path else sorted(map(Path, glob.glob(text, recursive=True)))  # noqa: PTH207
        if not matches:
            raise ValueError(f"{text} matches no file")
        for path in matches:
            found.update(dict.fromkeys(_images_in(path) if path.is_dir() else [path]))
    return list(found)


def _images_in(folder: Path) -> list[Path]:
    endings = set(Image.registered_extensions())
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings and path.is_file())
    if not paths:
        raise ValueError(f"folder {folder} has no image file in a format that Pillow reads, such as .png or .jpg")
    return paths
