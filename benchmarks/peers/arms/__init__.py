"""Arms of the comparison, ways to train one net. Imports no framework: `ARMS` names the modules.

Each module has a function `train(task, pause)`, written as its framework's documentation recommends, which trains the
net 784-128-64-10 from the task's initial weights and calls `pause` at the end of each epoch.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fmnist_zoo.recipe import Engine, Precision

ArmName = Literal["tutorial", "lightning", "keras", "jax", "torch", "fmnist_zoo_fp32", "fmnist_zoo"]
INSTALL = "pip install -e '.[peers]'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One way to train the net."""

    title: str
    module: str
    """In this package."""
    framework: Literal["torch", "jax"] = "torch"
    """Decides how to synchronize the device, and which device that is."""
    requires: tuple[str, ...] = ()
    """Modules of the extra `peers` that must be importable."""
    source: tuple[str, ...] = ("train",)
    """Functions and classes of the module that a user would write."""
    settings: str
    """Details of its training for the reader."""
    precision: Precision = "fp32"
    engine: Engine = "eager"

    @property
    def path(self) -> Path:
        """The module's file."""
        return Path(__file__).with_name(f"{self.module}.py")

    def missing(self) -> list[str]:
        """Required modules not installed."""
        return [name for name in self.requires if importlib.util.find_spec(name) is None]


REFERENCE: ArmName = "fmnist_zoo"
"""Reference of the other arms; its precision and engine are chosen only in `ARMS`."""

ARMS: dict[ArmName, Arm] = {
    "tutorial": Arm(
        title="tutorial loop",
        module="tutorial_loop",
        settings="torchvision's dataset with ToTensor, DataLoader with {num_workers} workers, `loss.item()` in every "
        "step; fp32",
    ),
    "lightning": Arm(
        title="Lightning",
        module="lightning_trainer",
        requires=("lightning",),
        source=("Net", "train"),
        settings="Trainer without logger, checkpoints, progress bar and summary; TensorDataset of floats, DataLoader "
        "with {num_workers} persistent workers; fp32",
    ),
    "keras": Arm(
        title="Keras 3 on JAX",
        module="keras_on_jax",
        framework="jax",
        requires=("keras", "jax"),
        settings="`model.fit` on float arrays in memory, compiled by XLA (`jit_compile` auto), 32 "
        "`steps_per_execution`; fp32",
    ),
    "jax": Arm(
        title="plain JAX",
        module="plain_jax",
        framework="jax",
        requires=("jax",),
        source=("logits_of", "loss_of", "adam", "epoch_of", "train"),
        settings="an epoch is one jitted `lax.scan` with donated state over resident uint8 images, Adam written out; "
        "fp32",
    ),
    "torch": Arm(
        title="plain PyTorch, resident data",
        module="plain_torch",
        settings="float images resident on the device, `randperm` and one index per batch, fused Adam, eager; fp32",
    ),
    "fmnist_zoo_fp32": Arm(
        title="fmnist_zoo, fp32",
        module="fmnist_zoo_fit",
        settings="`fmnist_zoo.fit`; {precision}, {engine}",
        precision="fp32",
        engine="eager",
    ),
    REFERENCE: Arm(
        title="fmnist_zoo",
        module="fmnist_zoo_fit",
        settings="`fmnist_zoo.fit`; {precision} if supported, {engine}",
        precision="bf16",
        engine="compile",
    ),
}
