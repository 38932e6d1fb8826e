"""Arithmetic that gives the same bits each time, as far as torch can promise it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

VARIABLES = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
"""What has to be in the environment of a process before it uses CUDA: cuBLAS then has buffers of its own for each
stream (https://docs.nvidia.com/cuda/cublas/#results-reproducibility)."""


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Only deterministic kernels inside; afterwards everything is as it was before.

    Where torch has none for an operation it raises RuntimeError, which names the operation
    (https://docs.pytorch.org/docs/stable/notes/randomness.html). cuDNN doesn't try its kernels out, since the fastest
    one may be another one each time.
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
