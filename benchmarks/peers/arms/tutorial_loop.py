"""The loop of the tutorials: dataset with ToTensor, a shuffling DataLoader, `loss.item()` in each step.

Source: PyTorch's beginner tutorials (https://docs.pytorch.org/tutorials/beginner/basics/optimization_tutorial.html) and
torchvision's FashionMNIST; common habits are kept, such as new workers for each epoch.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

from benchmarks.peers.arms.torch_side import predictor, with_initial_weights
from benchmarks.peers.task import Pause, Task


def train(task: Task, pause: Pause) -> None:
    """Train and pause after each epoch."""
    torch.manual_seed(task.seed)
    device = torch.device(task.device)
    dataset = FashionMNIST(task.idx_root, train=True, transform=ToTensor())
    loader = DataLoader(dataset, batch_size=task.batch_size, shuffle=True, num_workers=task.num_workers)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    model = with_initial_weights(model, task).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=task.lr)
    for _ in range(task.epochs):
        total = 0.0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)  # noqa: PLW2901  # as the tutorials write it
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        pause(total / len(dataset), len(dataset), predictor(model))
