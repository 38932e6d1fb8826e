"""Numeric precision of forward and backward passes: what runs in which format, and what a device can do."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from fmnist_zoo.recipe import Precision


def check_precision(precision: Precision, device: torch.device) -> None:
    """ValueError, naming what to use instead, where the device can't compute in this precision."""
    if precision == "tf32" and not (device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)):
        raise ValueError(
            f"precision tf32 needs an NVIDIA GPU of compute capability 8.0 or later, not {device}; use fp32"
        )
    if precision in ("bf16", "bf16_weights") and device.type == "cuda" and not has_bf16(device):
        raise ValueError(
            f"precision {precision} isn't supported by {torch.cuda.get_device_name(device)}; use fp16 or fp32"
        )
    if precision == "fp16" and device.type == "cpu" and not torch.ops.mkldnn._is_mkldnn_fp16_supported():
        raise ValueError(
            "precision fp16 needs a processor with fp16 arithmetic, which this one lacks; use bf16 or fp32"
        )
    if precision != "fp32" and device.type == "mps":
        raise ValueError(f"precision {precision} isn't supported on mps; use fp32")


def has_bf16(device: torch.device) -> bool:
    """Whether a device has instructions for bf16, so that it isn't emulated."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def compute(
    module: nn.Module, pixels: Float[Tensor, "batch 1 28 28"], precision: Precision
) -> Float[Tensor, "batch classes"]:
    """Logits in fp32 of a forward pass in this precision, with the attention kernel that suits the device.

    On a CPU plain matrix products take the place of the fused attention kernel, whose backward pass is slow there:
    `transformer` trained 2.2 to 2.5 times as fast in bf16 on two cores of an EPYC, and 1.02 to 1.08 times in fp32.
    Autocast's weight cache is off: it would outlive a captured step. The contexts are plain `with` statements, which a
    compiler can trace.
    """
    if precision == "bf16_weights":
        pixels = pixels.bfloat16()
    if pixels.device.type == "cpu":
        with sdpa_kernel(SDPBackend.MATH), _autocast("cpu", precision):
            return module(pixels).float()
    with _autocast(pixels.device.type, precision):
        return module(pixels).float()


def _autocast(device: str, precision: Precision) -> torch.autocast:
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device, dtype=dtype, enabled=precision in ("bf16", "fp16"), cache_enabled=False)


def allow_tf32(precision: Precision) -> None:
    """Let CUDA matrix products and convolutions round to TF32 in `tf32`, and not in any other precision."""
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def compute_module(model: nn.Module, precision: Precision) -> nn.Module:
    """The module that runs: the model itself, or for `bf16_weights` a copy with bf16 weights.

    Batch normalisation stays in fp32 in the copy: its running statistics move by less than bf16 resolves.
    """
    if precision != "bf16_weights":
        return model
    cast = copy.deepcopy(model).bfloat16()
    for module, original in zip(cast.modules(), model.modules(), strict=True):
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.float().load_state_dict(original.state_dict())  # as they were before they were rounded
    return cast
