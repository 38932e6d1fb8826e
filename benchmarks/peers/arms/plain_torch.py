"""Plain PyTorch, written with care: data resident on the device, one gather per batch, no DataLoader.

Adam is fused, the fastest implementation according to torch's documentation
(https://docs.pytorch.org/docs/stable/generated/torch.optim.Adam.html), and the host reads the loss once an epoch.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.arms.torch_side import predictor, with_initial_weights
from benchmarks.peers.task import Pause, Task


def train(task: Task, pause: Pause) -> None:
    """Train and pause after each epoch."""
    torch.manual_seed(task.seed)
    images, labels = (torch.from_numpy(array).to(task.device) for array in task.training_data())
    pixels = images.flatten(1).float() / 255
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    model = with_initial_weights(model, task).to(task.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=task.lr, fused=True)
    for _ in range(task.epochs):
        total = torch.zeros((), device=task.device)
        for batch in torch.randperm(len(labels), device=task.device).split(task.batch_size):
            loss = functional.cross_entropy(model(pixels[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(batch)
        pause(total.item() / len(labels), len(labels), predictor(model))
