"""Fixtures that more than one folder of tests uses, and what lets tests run in several processes at once.

Each process computes with one thread: teams of threads that share cores wait for each other, and nets are so small here
that one thread is as fast by itself, too. And no example of hypothesis is too slow: how long one takes depends on what
else the machine does.
"""

import dataclasses
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported; processes that tests start inherit it

import pytest
import torch
from hypothesis import HealthCheck, settings

from benchmarks.measure.environment import cpu_model
from benchmarks.measure.machine_details import isa
from fmnist_zoo import registry
from fmnist_zoo.data import Dataset, load_dataset
from fmnist_zoo.processor import cpu_capability, has_bf16, has_fp16

settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_report_header() -> list[str]:
    """Where the tests run: what passes on one processor may fail on another."""
    cpu = torch.device("cpu")
    formats = [name for name, has in (("bf16", has_bf16), ("fp16", has_fp16)) if has(cpu)]
    return [
        f"processor: {cpu_model()}, {os.cpu_count()} cores: {' '.join(isa())}",
        f"torch {torch.__version__}: {cpu_capability()} kernels, oneDNN with {' and '.join(['fp32', *formats])}",
    ]


@pytest.fixture(scope="session")
def fashion_mnist() -> Dataset:
    """The real dataset; a test that asks for it fails, and is never skipped, where the data can't be had."""
    return load_dataset("fashion_mnist")


@pytest.fixture(scope="session")
def small(fashion_mnist: Dataset) -> Dataset:
    """The first 2,000 training and 1,000 test images of the real dataset."""
    return dataclasses.replace(
        fashion_mnist,
        train=fashion_mnist.train.select(torch.arange(2000)),
        test=fashion_mnist.test.select(torch.arange(1000)),
    )


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the registry for tests that register models: what they add ends with them."""
    registry.list_models()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
