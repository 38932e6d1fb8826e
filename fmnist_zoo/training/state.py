"""The state of a training after an epoch, as one file: a training that was killed goes on from there, bit for bit.

The file is safetensors, which holds tensors and text and can't run code, with what isn't a tensor as JSON in its header
and a checksum of all of it. Randomness is torch's: its generators are saved, those of other libraries aren't.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fmnist_zoo.files import write_atomically
from fmnist_zoo.history import EpochStats
from fmnist_zoo.recipe import Engine, Precision

_FORMAT = "fmnist-zoo training 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingState:
    """All that a training needs to go on after an epoch.

    Attributes:
        precision: what it trains with.
        engine: what it trains with.
        history: the epochs so far.
        num_steps: steps so far.
        planned_steps: of the whole training, as its budget was last planned.
        seconds: the ledger so far.
        scaler: of the gradient scaler; empty where there is none.
        about: what else the caller wants to have back, as text.
        tensors: weights, optimizer, averages and random generators, by name, on the CPU.
    """

    precision: Precision
    engine: Engine
    history: tuple[EpochStats, ...]
    num_steps: int
    planned_steps: int
    seconds: Mapping[str, float]
    scaler: Mapping[str, float]
    about: Mapping[str, str | None]
    tensors: Mapping[str, Tensor]


class Checkpoints:
    """Where a training keeps its state, and what an earlier process has left there.

    Args:
        path: the file; its folder is made where it is missing.
        key: which training it is of; another's state is refused.
        every_epochs: save after so many epochs, and after the last; None to only go on from what is there.
        about: kept in the state for the caller.

    Attributes:
        state: what the file held; None where there is none, or it can't be used.
        problem: why it can't, in a sentence.
    """

    def __init__(
        self, path: Path, *, key: str, every_epochs: int | None = None, about: Mapping[str, str | None] | None = None
    ) -> None:
        if every_epochs is not None and every_epochs < 1:
            raise ValueError(f"every_epochs {every_epochs} must be at least 1")
        self.path, self.about = path, dict(about or {})
        self.state: TrainingState | None = None
        self.problem: str | None = None
        self._key, self._every = key, every_epochs
        try:
            self.state = read_state(path, key=key)
        except FileNotFoundError:
            pass  # the usual beginning
        except (OSError, ValueError) as error:
            self.refuse(str(error))

    def refuse(self, why: str) -> None:
        """The file can't be used: the training begins anew."""
        self.state = None
        self.problem = f"The checkpoint {self.path} can't be used, so the training began anew: {why}"

    def is_due(self, epochs: int, *, is_last: bool) -> bool:
        """Whether the state is to be saved after so many epochs."""
        return self._every is not None and (is_last or epochs % self._every == 0)

    def save(self, state: TrainingState) -> None:
        """Put a state in the place of the one before, whole or not at all."""
        write_atomically(self.path, _as_bytes(state, self._key))


def read_state(path: Path, *, key: str) -> TrainingState:
    """The state in a file.

    Raises:
        FileNotFoundError: there is no file.
        OSError: it can't be read.
        ValueError: it is damaged, something else, or of another training than `key`.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise FileNotFoundError(path)
    if not path.is_file():
        raise ValueError("it is no regular file")
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"it is damaged, or no checkpoint ({error})") from error
    if header.get("format") != _FORMAT:
        raise ValueError(f"its format is {header.get('format', 'unknown')!r}, not {_FORMAT!r}")
    if header.get("sha256") != _checksum(header.get("key", ""), header.get("state", ""), tensors):
        raise ValueError("it is damaged: its checksum doesn't fit")
    if header["key"] != key:
        raise ValueError("it is of another training: the model, its code, the data or the versions differ")
    return _parsed(header["state"], tensors)


def _parsed(text: str, tensors: Mapping[str, Tensor]) -> TrainingState:
    try:
        content: dict[str, Any] = json.loads(text)
        content["history"] = tuple(content["history"])
        return TrainingState(**content, tensors=tensors)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"it holds something else than a training's state ({error})") from error


def _as_bytes(state: TrainingState, key: str) -> bytes:
    from safetensors.torch import save

    content = {name: getattr(state, name) for name in state.__dataclass_fields__ if name != "tensors"}
    text = json.dumps(content)
    checksum = _checksum(key, text, state.tensors)
    return save(dict(state.tensors), metadata={"format": _FORMAT, "key": key, "state": text, "sha256": checksum})


def _checksum(key: str, text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of everything in a file: safetensors itself wouldn't notice a flipped bit."""
    from safetensors.torch import save

    digest = hashlib.sha256(json.dumps([key, text]).encode())
    digest.update(save(dict(tensors)))
    return digest.hexdigest()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's generators: the CPU's, and the device's own."""
    states = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["random.device"] = torch.mps.get_rng_state()
    return states


def set_random_state(device: torch.device, states: Mapping[str, Tensor]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(states["random.cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["random.device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["random.device"])


def to_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies that nothing else changes, in plain order."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def fill(tensors: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved values into the tensors of the same names, in place: captured and compiled steps refer to them.

    Raises:
        ValueError: names, shapes or types differ; nothing has been changed then.
    """
    if different := sorted(set(tensors) ^ set(saved)):
        raise ValueError(f"it doesn't have the tensors of this training: {', '.join(different[:3])}")
    for name, tensor in tensors.items():
        if (tensor.shape, tensor.dtype) != (saved[name].shape, saved[name].dtype):
            raise ValueError(
                f"{name} is {tuple(saved[name].shape)} {saved[name].dtype} in it, "
                f"and {tuple(tensor.shape)} {tensor.dtype} in this training"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
