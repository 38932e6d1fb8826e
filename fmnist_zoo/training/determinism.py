"""Bitwise reproducible arithmetic, as far as torch supports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

VARIABLES = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""Environment variables to set before a process uses CUDA: they give cuBLAS separate buffers per stream
(https://docs.nvidia.com/cuda/cublas/#results-reproducibility)."""


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Use deterministic kernels only; settings are restored afterwards.

    For an operation without one torch raises RuntimeError, which names it
    (https://docs.pytorch.org/docs/stable/notes/randomness.html). cuDNN's benchmarking is off, since the fastest kernel
    may differ each time.
    """
    cudnn = torch.backends.cudnn
    enabled, warns_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    settings = (cudnn.deterministic, cudnn.benchmark)
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns_only)
        cudnn.deterministic, cudnn.benchmark = settings
