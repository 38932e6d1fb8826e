"""Fixtures that more than one folder of tests uses."""

import pytest

from fmnist_zoo.data import Dataset, load_dataset


@pytest.fixture(scope="session")
def fashion_mnist() -> Dataset:
    """The real dataset; a test that asks for it fails, and is never skipped, where the data can't be had."""
    return load_dataset("fashion_mnist")
