"""Checkpoints within a training: its state after an epoch in one file, to resume from bit for bit after a kill.

The file is safetensors, which can't run code; everything but tensors is JSON in its header, with a checksum of it all.
Only torch's random generators are saved, not those of other libraries.
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
    """Everything needed to resume training after an epoch.

    Attributes:
        precision: in use.
        engine: in use.
        history: the epochs so far.
        num_steps: steps so far.
        planned_steps: of the whole training, as last planned from its budget.
        seconds: the ledger so far.
        scaler: state of the gradient scaler; empty without one.
        about: text kept for the caller.
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
    """A training's checkpoint file, and the state that an earlier process left in it.

    Args:
        path: the file; its folder is created if missing.
        key: identifies the training; another's state is refused.
        every_epochs: epochs between saves (the last is always saved); None to resume without saving.
        about: kept in the state for the caller.

    Attributes:
        state: contents of the file; None if missing or unusable.
        problem: why the file is unusable, in a sentence.
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
        """Mark the file as unusable: training restarts."""
        self.state = None
        self.problem = f"Checkpoint {self.path} can't be used, so training restarted: {why}"

    def is_due(self, epochs: int, *, is_last: bool) -> bool:
        """Whether to save after this number of epochs."""
        return self._every is not None and (is_last or epochs % self._every == 0)

    def save(self, state: TrainingState) -> None:
        """Replace the saved state atomically."""
        write_atomically(self.path, _as_bytes(state, self._key))


def read_state(path: Path, *, key: str) -> TrainingState:
    """Read a saved state.

    Raises:
        FileNotFoundError: there is no file.
        OSError: it can't be read.
        ValueError: it is damaged, not a checkpoint, or belongs to another training than `key`.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise FileNotFoundError(path)
    if not path.is_file():
        raise ValueError("it is not a regular file")
    try:
        with safe_open(path, framework="pt") as file:
            header: dict[str, str] = file.metadata() or {}
            tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"it is damaged or not a checkpoint ({error})") from error
    if header.get("format") != _FORMAT:
        raise ValueError(f"its format is {header.get('format', 'unknown')!r}, not {_FORMAT!r}")
    if header.get("sha256") != _checksum(header.get("key", ""), header.get("state", ""), tensors):
        raise ValueError("it is damaged: its checksum does not match")
    if header["key"] != key:
        raise ValueError("it belongs to another training: model, code, data or versions differ")
    return _parsed(header["state"], tensors)


def _parsed(text: str, tensors: Mapping[str, Tensor]) -> TrainingState:
    try:
        content: dict[str, Any] = json.loads(text)
        content["history"] = tuple(content["history"])
        return TrainingState(**content, tensors=tensors)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"it does not hold a training state ({error})") from error


def _as_bytes(state: TrainingState, key: str) -> bytes:
    from safetensors.torch import save

    content = {name: getattr(state, name) for name in state.__dataclass_fields__ if name != "tensors"}
    text = json.dumps(content)
    checksum = _checksum(key, text, state.tensors)
    return save(dict(state.tensors), metadata={"format": _FORMAT, "key": key, "state": text, "sha256": checksum})


def _checksum(key: str, text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) of the whole file: safetensors itself doesn't detect a flipped bit."""
    from safetensors.torch import save

    digest = hashlib.sha256(json.dumps([key, text]).encode())
    digest.update(save(dict(tensors)))
    return digest.hexdigest()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """States of torch's random generators, of the CPU and the device."""
    states = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random.device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["random.device"] = torch.mps.get_rng_state()
    return states


def set_random_state(device: torch.device, states: Mapping[str, Tensor]) -> None:
    """Restore what `random_state` returned."""
    torch.set_rng_state(states["random.cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["random.device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["random.device"])


def to_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}


def fill(tensors: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved values into the tensors of the same names, in place: captured and compiled steps refer to them.

    Raises:
        ValueError: names, shapes or types differ; nothing is changed.
    """
    if different := sorted(set(tensors) ^ set(saved)):
        raise ValueError(f"its tensors are not those of this training: {', '.join(different[:3])}")
    for name, tensor in tensors.items():
        if (tensor.shape, tensor.dtype) != (saved[name].shape, saved[name].dtype):
            raise ValueError(
                f"{name} is {tuple(saved[name].shape)} {saved[name].dtype} in the checkpoint, "
                f"{tuple(tensor.shape)} {tensor.dtype} in this training"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
