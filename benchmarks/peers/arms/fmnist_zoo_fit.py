"""This suite, by its public `fit`, with the precision and engine of the task."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.peers.arms.torch_side import with_initial_weights
from benchmarks.peers.task import Pause, Predict, Task
from fmnist_zoo import Recipe, create_model, fit
from fmnist_zoo.data import Dataset, Split
from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.evaluation import Predictor
from fmnist_zoo.history import EpochStats
from fmnist_zoo.recipe import Budget, Precision
from fmnist_zoo.training.precision import is_emulated


def train(task: Task, pause: Pause) -> None:
    """Train and pause after each epoch."""
    dataset = dataset_of(task)
    emulated = is_emulated(task.precision, torch.device(task.device))
    precision: Precision = "fp32" if emulated else task.precision
    model = with_initial_weights(create_model("tutorial_mlp_128_64"), task)
    recipe = Recipe(
        budget=Budget("epochs", task.epochs),
        batch_size=task.batch_size,
        input_scaling="unit",
        optimizer="adam",
        lr=task.lr,
        schedule="constant",
        lr_warmup_fraction=0.0,
        weight_decay=0.0,
    )
    num_images = len(dataset.train) // task.batch_size * task.batch_size

    def on_epoch(stats: EpochStats) -> None:
        assert stats["train_loss"] is not None, "a training knows its loss"
        pause(stats["train_loss"], num_images, predictor(model, dataset, precision))

    fit(
        model,
        dataset,
        recipe=recipe,
        seed=task.seed,
        device=task.device,
        precision=precision,
        engine=task.engine,
        on_epoch=on_epoch,
    )


def dataset_of(task: Task) -> Dataset:
    """The task's images in the form of `load_dataset`; parts for tests and reports are empty."""
    images, labels = task.training_data()
    split = Split(images=torch.from_numpy(images).unsqueeze(1), labels=torch.from_numpy(labels))
    return Dataset(
        name="fashion_mnist",
        train=split,
        test=split.select(torch.arange(0)),
        class_names=(),
        mean=0.0,
        std=1.0,
        checksum="",
        origin="folder",
    )


def predictor(model: nn.Module, dataset: Dataset, precision: Precision) -> Predict:
    """Predict in the precision of the training."""

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = Predictor(model, scale=PixelScale.of("unit", dataset), precision=precision)
        pixels = torch.from_numpy(images).unsqueeze(1).to(logits.device)
        was_training = model.training
        found = logits.logits(pixels).cpu().numpy()
        model.train(was_training)
        return found

    return predict
