"""Device selection and synchronization."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from fmnist_zoo.recipe import Engine


def resolve_device(name: str) -> torch.device:
    """The named device; `auto` is CUDA if available, else MPS, else the CPU.

    Raises:
        ValueError: unknown or unavailable device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"device {name!r} is unknown; use auto, cpu, cuda, cuda:1 or mps") from None
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(device.type, False) or (device.index or 0) >= (
        torch.cuda.device_count() if device.type == "cuda" else 1
    ):
        raise ValueError(
            f"device {name!r} is not available in this torch ({torch.__version__}); use --device cpu or auto"
        )
    return device


def check_engine(engine: Engine, device: torch.device) -> None:
    """Raise ValueError with an alternative if the device lacks the engine."""
    if engine == "graph" and device.type != "cuda":
        raise ValueError(
            f"engine graph captures CUDA graphs and needs an NVIDIA GPU, not {device}; use eager or compile"
        )


def synchronizer(device: torch.device) -> Callable[[], None]:
    """A function that waits for all work queued on the device."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return torch.mps.synchronize if device.type == "mps" else lambda: None


def to_device(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to a device, convolutional ones in channels-last order, which is faster."""
    model = model.to(device)
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model
