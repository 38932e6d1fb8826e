"""Lightning 2: a LightningModule and its Trainer, with logger, checkpoints, progress bar and summary switched off.

Its guide to speed asks for a DataLoader with workers, and for pinned memory with a GPU
(https://lightning.ai/docs/pytorch/stable/advanced/speed.html); the workers persist from epoch to epoch. The dataset is
a TensorDataset of floats, which avoids the per-image decoding of the tutorial loop. The mean loss of an epoch comes
from `self.log` (https://lightning.ai/docs/pytorch/stable/extensions/logging.html).
"""

from __future__ import annotations

from typing import Any

import torch
from lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.arms.torch_side import predictor, with_initial_weights
from benchmarks.peers.task import Pause, Task


class Net(LightningModule):
    """The net with loss and optimizer as a LightningModule."""

    def __init__(self, task: Task, pause: Pause) -> None:
        super().__init__()
        self.task, self.pause = task, pause
        layers = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )
        self.layers = with_initial_weights(layers, task)

    def training_step(self, batch: list[Tensor]) -> Tensor:
        """The loss of a batch of images and labels."""
        images, labels = batch
        loss = functional.cross_entropy(self.layers(images), labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(labels))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=self.task.lr)

    def on_train_epoch_end(self) -> None:
        """Pause."""
        loader: Any = self.trainer.train_dataloader
        loss = self.trainer.callback_metrics["train_loss"].item()
        self.pause(loss, len(loader.dataset), predictor(self.layers))


def train(task: Task, pause: Pause) -> None:
    """Train and pause after each epoch."""
    torch.manual_seed(task.seed)
    images, labels = (torch.from_numpy(array) for array in task.training_data())
    device = torch.device(task.device)
    loader = DataLoader(
        TensorDataset(images.float() / 255, labels),
        batch_size=task.batch_size,
        shuffle=True,
        num_workers=task.num_workers,
        persistent_workers=task.num_workers > 0,
        pin_memory=device.type == "cuda",
    )
    trainer = Trainer(
        accelerator=device.type,
        devices=1 if device.index is None or device.type == "cpu" else [device.index],
        max_epochs=task.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(task, pause), loader)
