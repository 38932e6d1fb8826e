"""Measured roofline of a device: matrix products and copying, the limits of every training step.

Each is the median of several short synchronized samples after an untimed call; raw samples are kept. None if the device
lacks support or memory. A training step's share of the measured rate says how well the device is used; it may slightly
exceed 1, since a square product need not be the fastest.

Cached by hardware, software and settings, so that all runs of a sweep are compared with the same one. To measure again,
delete the folder `rooflines` in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure.clock import sample_rates, stopwatch
from benchmarks.records.json_files import read_json
from benchmarks.records.machine import of_any_host
from benchmarks.records.schema import Environment, Roofline
from fmnist_zoo.data.cache import cache_root
from fmnist_zoo.files import write_atomically
from fmnist_zoo.recipe import Precision
from fmnist_zoo.training.precision import check_precision, is_emulated

MAX_AGE = timedelta(hours=1)
LIMIT_S = 1.0
"""Time limit per rate."""

DTYPES: dict[Precision, torch.dtype] = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


def roofline(
    device: torch.device,
    *,
    gemm_size: int | None = None,
    copy_block_mib: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Roofline:
    """Measure a device's GEMM rates (TFLOP/s, 2 n^3 FLOPs a product) and its copy bandwidth (GB/s, read + written).

    Restores random state, float32 precision and CUDA's peak-memory counter.

    Args:
        device: to measure, with torch's current threads.
        gemm_size: rows of the square matrices; 8192 on CUDA and 2048 elsewhere by default.
        copy_block_mib: size of the copied block, larger than any cache; 1024 on CUDA and 256 elsewhere.
        clock: seconds, monotonic.
    """
    on_cuda = device.type == "cuda"
    gemm_size = gemm_size or (8192 if on_cuda else 2048)
    copy_block_mib = copy_block_mib or (1024 if on_cuda else 256)
    gemm = {precision: gemm_rates(precision, device, gemm_size, clock=clock) for precision in DTYPES}
    copying = copy_rates(device, copy_block_mib, clock=clock)
    if on_cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    return {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "gemm_tflop_per_s": {precision: _median(rates) for precision, rates in gemm.items()},
        "copy_gb_per_s": _median(copying),
        "gemm_size": gemm_size,
        "copy_block_mib": copy_block_mib,
        "gemm_samples_tflop_per_s": {precision: rates for precision, rates in gemm.items() if rates},
        "copy_samples_gb_per_s": copying,
    }


def measured_roofline(device: torch.device, path: Path | None) -> Roofline:
    """The roofline cached in a file, else measured now and cached."""
    found = kept_roofline(path)
    if found is None:
        found = roofline(device)
        keep_roofline(path, found)
    return found


def roofline_path(environment: Environment) -> Path:
    """Path of a device's cached roofline.

    Args:
        environment: its hardware, software and details count, and the number of threads that a person has set; the
            commit does not, nor which of equal machines it is.
    """
    here = of_any_host(environment)
    software = {name: value for name, value in here["software"].items() if name not in ("commit", "dirty")}
    identity = [here["hardware"], software, here["details"], os.environ.get("OMP_NUM_THREADS")]
    text = json.dumps(identity, sort_keys=True)
    return cache_root() / "rooflines" / f"{hashlib.sha256(text.encode()).hexdigest()}.json"


def kept_roofline(path: Path | None) -> Roofline | None:
    """The roofline in a file, if from the last hour; None if missing, damaged or older.

    On a shared machine, last week's says little about today.
    """
    if path is None:
        return None
    try:
        found = read_json(path, Roofline)
    except (OSError, ValueError):
        return None
    measured_at = found["measured_at"]
    return found if is_complete(found) and measured_at is not None and _age(measured_at) < MAX_AGE else None


def _age(measured_at: str) -> timedelta:
    """Since a UTC time as records write it; without end where that is no time."""
    try:
        return datetime.now(UTC) - datetime.strptime(measured_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return timedelta.max


def keep_roofline(path: Path | None, roofline: Roofline) -> None:
    """Cache a complete roofline; if that fails, the next run measures again."""
    if path is None or not is_complete(roofline):
        return
    with contextlib.suppress(OSError):
        write_atomically(path, json.dumps(roofline).encode())


def is_complete(roofline: Roofline) -> bool:
    """Whether it has what every device supports: fp32 products and copying. Else memory was temporarily short."""
    return roofline["gemm_tflop_per_s"].get("fp32") is not None and roofline["copy_gb_per_s"] is not None


def gemm_rates(precision: Precision, device: torch.device, size: int, *, clock: Callable[[], float]) -> list[float]:
    """Sampled TFLOP/s of the product of two `(size, size)` matrices by torch's fastest library for it.

    Empty if the device lacks the precision.
    """
    if not has_precision(precision, device):
        return []

    def make(product: Callable[[Tensor, Tensor, Tensor], object]) -> Callable[[], object]:
        # Random numbers: on a GPU a product of zeros needs less power, and so runs at a higher clock. Drawn from a
        # generator of their own: the run's random state is the seed's.
        generator = torch.Generator(device).manual_seed(0)
        left, right, out = (_block(size * size, DTYPES[precision], device).view(size, size) for _ in range(3))
        left.normal_(generator=generator)
        right.normal_(generator=generator)
        return lambda: product(left, right, out)

    products = [lambda left, right, out: torch.mm(left, right, out=out)]
    if device.type == "cpu" and precision == "fp32":
        # Here torch.mm is MKL's, which on AMD processors reaches half the speed of oneDNN's; convolutions and compiled
        # layers go to the latter.
        products.append(lambda left, right, out: torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], ""))
    with _float32_products("high" if precision == "tf32" else "highest"):
        rates = [_sampled(partial(make, product), 2 * size**3 / 1e12, device, clock) for product in products]
    return max(rates, key=lambda samples: _median(samples) or 0.0)


def copy_rates(device: torch.device, block_mib: int, *, clock: Callable[[], float]) -> list[float]:
    """Sampled GB/s of copying a block on the device: bytes read plus bytes written, as in STREAM.

    Source: McCalpin, Memory Bandwidth and Machine Balance in Current High Performance Computers, 1995.
    """

    def make() -> Callable[[], Tensor]:
        source, target = (_block(block_mib * 2**18, torch.float32, device) for _ in range(2))
        return lambda: target.copy_(source)

    return _sampled(make, 2 * block_mib * 2**20 / 1e9, device, clock)


def _block(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """So many numbers `(size,)`, each written once, so that all of the block's pages are there."""
    if device.type != "cpu":
        return torch.ones(size, dtype=dtype, device=device)
    # Workers keep for later what they free (`workers.server.environment`), and a training that came after would be
    # booked as needing it. A mapping of its own goes back to the system with the tensor.
    memory = mmap.mmap(-1, size * dtype.itemsize)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux; as the workers' allocator asks for its blocks
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).fill_(1.0)


def has_precision(precision: Precision, device: torch.device) -> bool:
    """Whether the device supports a precision natively; emulated products would take too long."""
    try:
        check_precision(precision, device)
    except ValueError:
        return False
    return not is_emulated(precision, device)


def _sampled(
    make: Callable[[], Callable[[], object]], units: float, device: torch.device, clock: Callable[[], float]
) -> list[float]:
    """Units a second of what `make` makes, each call of which does so many.

    Empty where the device has no memory for it, or refuses the operation.
    """
    try:
        work = make()

        def one() -> float:
            work()
            return units

        return sample_rates(one, stopwatch(device, clock), limit_s=LIMIT_S, clock=clock)
    except (MemoryError, RuntimeError):  # torch's out-of-memory errors are RuntimeErrors
        return []


@contextmanager
def _float32_products(precision: str) -> Iterator[None]:
    """Set the precision of float32 matrix products: `highest`, or `high` for TF32; restored afterwards."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _median(samples: list[float]) -> float | None:
    return statistics.median(samples) if samples else None
