"""Training setup of a configuration: model, recipe, training images and loader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fmnist_zoo.data.datasets import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.recipe import Engine, Precision, Recipe
from fmnist_zoo.registry import create_model
from fmnist_zoo.training.choose import PROBE_S, Choice, choose
from fmnist_zoo.training.device import resolve_device
from fmnist_zoo.training.fit import split_dataset, to_device
from fmnist_zoo.training.modules import copied
from fmnist_zoo.training.step import TrainingStep


def built_model(config: Mapping[str, Any], *, seed: int, device: torch.device) -> nn.Module:
    """A configuration's model on a device, initialised by a seed."""
    torch.manual_seed(seed)
    return to_device(create_model(config["model"], **config["model_options"]), device)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model and everything its training steps need; `precision` and `engine` are None if to be chosen."""

    model: nn.Module
    recipe: Recipe
    loader: TrainLoader
    scale: PixelScale
    device: torch.device
    precision: Precision | None = None
    engine: Engine | None = None

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        *,
        seed: int,
        device: str | torch.device,
        dataset: Dataset,
        model: nn.Module | None = None,
    ) -> Subject:
        """The setup of a configuration.

        Args:
            config: `model`, `model_options`, `recipe`, `num_val`, `precision` and `engine`, as in a record.
            seed: of weights and batches.
            device: where to train; the images are put there.
            dataset: as it was loaded.
            model: of that configuration and seed, if already built.
        """
        device, recipe = resolve_device(str(device)), Recipe.from_dict(config["recipe"])
        train, _ = split_dataset(dataset, config["num_val"], device)
        return cls(
            model=built_model(config, seed=seed, device=device) if model is None else model,
            recipe=recipe,
            loader=TrainLoader(train, batch_size=recipe.batch_size, augmentation=recipe.augmentation, seed=seed),
            scale=PixelScale.of(recipe.input_scaling, dataset),
            device=device,
            precision=None if config["precision"] == "auto" else config["precision"],
            engine=None if config["engine"] == "auto" else config["engine"],
        )

    def choose(
        self, *, engine: Engine | None = None, image_flops: int | None = None, probe_s: float = PROBE_S
    ) -> Choice:
        """Choose precision and engine by measurement where the configuration leaves them open.

        Args:
            engine: to use if the configuration leaves it open.
            image_flops: see `fmnist_zoo.training.choose.choose`.
            probe_s: the same.
        """
        return choose(
            self.model, self.recipe, self.loader, self.scale,
            precision=self.precision, engine=self.engine or engine, image_flops=image_flops, probe_s=probe_s,
        )  # fmt: skip

    def step(self, precision: Precision, engine: Engine) -> TrainingStep:
        """A step on its own copy of the weights, not warmed up."""
        return TrainingStep(copied(self.model), self.recipe, scale=self.scale, precision=precision, engine=engine)
