"""Architectures for Fashion-MNIST behind one interface, with the data and the training to compare them fairly.

    from fmnist_zoo import create_model, evaluate, fit, load_dataset
    from fmnist_zoo import Recipe

    dataset = load_dataset("fashion_mnist")
    model = create_model("cnn")
    result = fit(model, dataset, recipe=Recipe())
    evaluate(model, dataset.test, scale=result.scale)["top1_pct"]

Names are imported when they are first used, so that `import fmnist_zoo` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "create_model": "registry",
    "list_models": "registry",
    "register_model": "registry",
    "load_dataset": "data.datasets",
    "fit": "training.fit",
    "evaluate": "evaluation",
    "Recipe": "recipe",
}

__all__ = ["Recipe", "create_model", "evaluate", "fit", "list_models", "load_dataset", "register_model"]

if TYPE_CHECKING:
    from fmnist_zoo.data.datasets import load_dataset
    from fmnist_zoo.evaluation import evaluate
    from fmnist_zoo.recipe import Recipe
    from fmnist_zoo.registry import create_model, list_models, register_model
    from fmnist_zoo.training.fit import fit


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
