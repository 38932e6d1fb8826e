"""Number formats that a device supports, and the exceptions for recurrent layers.

On a CPU the answers are oneDNN's and torch's own, so they follow `ONEDNN_MAX_CPU_ISA` and `ATEN_CPU_CAPABILITY`, which
make a machine with AVX512 behave like one without.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

# Constants, since torch.compile traces through their use.
_HAS_ONEDNN = torch.backends.mkldnn.is_available()
_CPU_HAS_BF16: bool = _HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()
_CPU_HAS_FP16: bool = _HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_fp16_supported()


def cpu_capability() -> str:
    """Instruction set of torch's own CPU kernels: `DEFAULT`, `AVX2`, `AVX512`, `NEON`, ..."""
    return torch.backends.cpu.get_cpu_capability()


def part_compiler_cache() -> None:
    """Separate torch.compile's caches by instruction set.

    If `ATEN_CPU_CAPABILITY` changed or machines share a folder, the cache (torch 2.14) gives C++ code for vectors of 8
    numbers to a process that compiles it for 16, which then writes out of bounds.
    """
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    folder, own = cache_dir(), cpu_capability().lower()
    if Path(folder).name != own:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder) / own)


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bf16 natively; others convert each operation to fp32 and back."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and _CPU_HAS_BF16


def has_fp16(device: torch.device) -> bool:
    """Whether a device computes in fp16."""
    return device.type == "cuda" or (device.type == "cpu" and _CPU_HAS_FP16)


def has_tf32(device: torch.device) -> bool:
    """Whether a device can round fp32 products to TF32: NVIDIA GPUs since Ampere."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def recurrent_dtype(mode: str, dtype: torch.dtype, device_type: str) -> torch.dtype:
    """Format of a recurrent layer under autocast: `dtype`, or fp32 without a kernel for it.

    - CUDA silently casts bf16 to fp16, without loss scaling.
    - oneDNN trains an LSTM in bf16 only on processors with bf16, and in fp16 on none that was tried.
    - On a CPU autocast ignores a GRU, so it always computes in fp32.

    Args:
        mode: `nn.RNNBase.mode`: `LSTM`, `GRU`, `RNN_TANH` or `RNN_RELU`.
        dtype: autocast's format.
        device_type: `cpu`, `cuda`, ...
    """
    if device_type == "cuda":
        return torch.float32 if dtype == torch.bfloat16 else dtype
    if mode == "GRU":
        return torch.float32
    if mode == "LSTM" and (dtype == torch.float16 or not _CPU_HAS_BF16):
        return torch.float32
    return dtype


def recurrent_in_fp32(model: nn.Module, dtype: torch.dtype, device: torch.device) -> list[str]:
    """Kinds of recurrent layers in a model, such as `LSTM`, that compute in fp32 under autocast to `dtype`."""
    modes = {module.mode for module in model.modules() if isinstance(module, nn.RNNBase)}
    return sorted(mode for mode in modes if recurrent_dtype(mode, dtype, device.type) == torch.float32)
