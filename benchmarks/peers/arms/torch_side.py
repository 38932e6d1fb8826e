"""Shared by the torch arms, but not user code: initial weights and predictions."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.peers.task import Predict, Task

Net = TypeVar("Net", bound=nn.Module)


@torch.no_grad()
def with_initial_weights(model: Net, task: Task) -> Net:
    """The model, a chain of linear layers, with the initial weights of all arms."""
    flat = [value for layer in task.initial_weights() for value in layer]
    for parameter, value in zip(model.parameters(), flat, strict=True):
        parameter.copy_(torch.from_numpy(value))
    return model


def predictor(model: nn.Module) -> Predict:
    """Predict with a model on pixels in [0, 1]."""

    @torch.no_grad()
    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(images).to(next(model.parameters()).device) / 255
        was_training = model.training
        logits = model.eval()(pixels)
        model.train(was_training)
        return logits.cpu().numpy()

    return predict
