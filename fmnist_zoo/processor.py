"""What a device can compute in, asked in one place: number formats, and the exceptions that recurrent layers make.

On a CPU the answers are oneDNN's and torch's own, so they follow `ONEDNN_MAX_CPU_ISA` and `ATEN_CPU_CAPABILITY`: with
these, a machine with AVX512 behaves like one without.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

# Constants, since torch.compile traces through what asks for them.
_HAS_ONEDNN = torch.backends.mkldnn.is_available()
_CPU_HAS_BF16: bool = _HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_bf16_supported()
_CPU_HAS_FP16: bool = _HAS_ONEDNN and torch.ops.mkldnn._is_mkldnn_fp16_supported()


def cpu_capability() -> str:
    """The instruction set that torch's own CPU kernels use: `DEFAULT`, `AVX2`, `AVX512`, `NEON`, ..."""
    return torch.backends.cpu.get_cpu_capability()


def part_compiler_cache() -> None:
    """Have torch.compile keep what it makes for this instruction set apart from what it made for another.

    Its cache (torch 2.14) hands C++ code written for vectors of 8 numbers to a process that compiles it for 16, and
    that then writes beyond its arrays: where `ATEN_CPU_CAPABILITY` changed, or machines share a folder.
    """
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    folder, own = cache_dir(), cpu_capability().lower()
    if Path(folder).name != own:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(Path(folder) / own)


def has_bf16(device: torch.device) -> bool:
    """Whether a device computes in bf16 by itself; elsewhere each operation converts to fp32 and back."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and _CPU_HAS_BF16


def has_fp16(device: torch.device) -> bool:
    """Whether a device computes in fp16."""
    return device.type == "cuda" or (device.type == "cpu" and _CPU_HAS_FP16)


def has_tf32(device: torch.device) -> bool:
    """Whether a device rounds fp32 products to TF32 where it may: NVIDIA's since Ampere."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)


def recurrent_dtype(mode: str, dtype: torch.dtype, device_type: str) -> torch.dtype:
    """The format in which a recurrent layer should compute under autocast: `dtype`, or fp32 where there is no kernel.

    - CUDA's kernels are cast to fp16 where bf16 is asked for, without a word and without loss scaling.
    - oneDNN trains an LSTM in bf16 only on processors that have it, and in fp16 on none that was tried.
    - On a CPU autocast leaves a GRU alone, so it computes in fp32 whatever is asked for.

    Args:
        mode: `nn.RNNBase.mode`: `LSTM`, `GRU`, `RNN_TANH` or `RNN_RELU`.
        dtype: that autocast asks for.
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
    """Kinds of recurrent layers in a model, such as `LSTM`, that compute in fp32 where autocast asks for `dtype`."""
    modes = {module.mode for module in model.modules() if isinstance(module, nn.RNNBase)}
    return sorted(mode for mode in modes if recurrent_dtype(mode, dtype, device.type) == torch.float32)
