"""Fixtures that more than one folder of tests uses."""

import dataclasses

import pytest
import torch

from fmnist_zoo import registry
from fmnist_zoo.data import Dataset, load_dataset


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
