"""Numeric precision of forward and backward passes, and device support for it."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fmnist_zoo.processor import cpu_capability, has_bf16, has_fp16, has_tf32, recurrent_in_fp32
from fmnist_zoo.recipe import Precision

AUTOCAST: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Autocast precisions and their formats."""


def check_precision(precision: Precision, device: torch.device) -> None:
    """Raise ValueError with an alternative if the device lacks this precision."""
    if precision == "tf32" and not has_tf32(device):
        raise ValueError(
            f"precision tf32 needs an NVIDIA GPU of compute capability 8.0 or later, not {device}; use fp32"
        )
    if precision in ("bf16", "bf16_weights") and device.type == "cuda" and not has_bf16(device):
        raise ValueError(
            f"precision {precision} isn't supported by {torch.cuda.get_device_name(device)}; use fp16 or fp32"
        )
    if precision == "fp16" and device.type == "cpu" and not has_fp16(device):
        raise ValueError(
            "precision fp16 needs a processor with fp16 arithmetic, which this one lacks; use bf16 or fp32"
        )
    if precision != "fp32" and device.type == "mps":
        raise ValueError(f"precision {precision} isn't supported on mps; use fp32")


def precision_notes(model: nn.Module, precision: Precision, device: torch.device) -> list[str]:
    """Caveats of a precision for this model on this device, as sentences."""
    notes: list[str] = []
    if is_emulated(precision, device):
        notes.append(
            f"{precision} is emulated: this processor ({cpu_capability()}) has no instructions for it, so each "
            "operation converts to fp32 and back. Its speed is no guide to other processors."
        )
    if precision in AUTOCAST and (cells := recurrent_in_fp32(model, AUTOCAST[precision], device)):
        layers = " and ".join(f"nn.{mode.partition('_')[0]}" for mode in cells)
        notes.append(f"{layers} computes in fp32: torch has no kernel for it in {precision} on this device.")
    return notes


def is_emulated(precision: str, device: torch.device) -> bool:
    """Whether a CPU converts each operation of this precision to fp32 and back, many times slower than fp32."""
    return precision in ("bf16", "bf16_weights") and device.type == "cpu" and not has_bf16(device)


def compute(
    module: nn.Module, pixels: Float[Tensor, "batch 1 28 28"], precision: Precision
) -> Float[Tensor, "batch classes"]:
    """Logits in fp32 from a forward pass in this precision, with the device's best attention kernel.

    On a CPU plain matrix products replace the fused attention kernel, whose backward pass is slow there: `transformer`
    trained 2.2 to 2.5 times as fast in bf16 on two cores of an EPYC, and 1.02 to 1.08 times in fp32. Autocast's weight
    cache is off: it would outlive a captured step. Plain `with` statements, for the compiler to trace.
    """
    if precision == "bf16_weights":
        pixels = pixels.bfloat16()
    if pixels.device.type == "cpu":
        with sdpa_kernel(SDPBackend.MATH), _autocast("cpu", precision):
            return module(pixels).float()
    with _autocast(pixels.device.type, precision):
        return module(pixels).float()


def _autocast(device: str, precision: Precision) -> torch.autocast:
    return torch.autocast(
        device, dtype=AUTOCAST.get(precision, torch.bfloat16), enabled=precision in AUTOCAST, cache_enabled=False
    )


def allow_tf32(precision: Precision) -> None:
    """Allow TF32 in CUDA matrix products and convolutions for `tf32`, and forbid it otherwise."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def compute_module(model: nn.Module, precision: Precision) -> nn.Module:
    """The computing module: the model itself, or for `bf16_weights` a copy with bf16 weights.

    Batch normalisation stays in fp32 in the copy: its running statistics change by less than bf16 resolves.
    """
    if precision != "bf16_weights":
        return model
    cast = copy.deepcopy(model).bfloat16()
    for module, original in zip(cast.modules(), model.modules(), strict=True):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.float().load_state_dict(original.state_dict())  # as before rounding
    return cast
