"""Every arm trains the same net from the same weights: its logits before, its losses after, in its own process."""

import os
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.peers.arms import ARMS, ArmName
from benchmarks.peers.inputs import write_inputs
from benchmarks.peers.process import ArmEpoch, ArmProcess
from benchmarks.peers.task import Task
from benchmarks.workers.slot import JobError
from fmnist_zoo import create_model
from fmnist_zoo.data import Dataset

NO_LR = 1e-30
"""Adam's steps of this size change nothing in fp32, so that the logits after an epoch are those of the start."""
LOGITS_ATOL = {"bf16": 0.02, "fp32": 1e-4}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    folder: str
    val_labels: NDArray[np.int64]
    initial_logits: NDArray[np.float32]
    losses: list[float]
    """Of two epochs of plain PyTorch."""


def trained(
    name: ArmName, folder: str, val_labels: NDArray[np.int64], *, epochs: int, lr: float = 1e-3
) -> tuple[list[ArmEpoch], NDArray[np.float32]]:
    arm = ARMS[name]
    task = Task(arm=name, folder=folder, batch_size=50, epochs=epochs, num_workers=1, lr=lr, precision=arm.precision)
    process = ArmProcess(task, val_labels, 1)
    try:
        return [process.epoch() for _ in range(epochs)], process.logits()
    finally:
        process.close()


@pytest.fixture(scope="module")
def inputs(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("peers")
    torch.manual_seed(0)
    model = create_model("tutorial_mlp_128_64").eval()
    write_inputs(folder, small.train, small.test, model)
    with torch.no_grad():
        logits = model(small.test.images / 255).numpy()
    labels = small.test.labels.numpy()
    epochs, _ = trained("torch", str(folder), labels, epochs=2)
    losses = [epoch.train_loss for epoch in epochs]
    return Inputs(folder=str(folder), val_labels=labels, initial_logits=logits, losses=losses)


def check_start(name: ArmName, inputs: Inputs) -> None:
    epochs, logits = trained(name, inputs.folder, inputs.val_labels, epochs=1, lr=NO_LR)
    assert logits.shape == (1000, 10) and logits.dtype == np.float32
    assert np.allclose(logits, inputs.initial_logits, atol=LOGITS_ATOL[ARMS[name].precision], rtol=0)
    assert epochs[0].train_loss == pytest.approx(np.log(10), abs=0.02)


def check_training(name: ArmName, inputs: Inputs) -> None:
    epochs, _ = trained(name, inputs.folder, inputs.val_labels, epochs=2)
    assert [epoch.num_images for epoch in epochs] == [2000, 2000]
    assert [epoch.train_loss for epoch in epochs] == pytest.approx(inputs.losses, abs=0.1)
    assert epochs[1].val_top1_pct > 60 and epochs[0].epoch_s > 0
    assert epochs[0].peak_mem_mib <= epochs[1].peak_mem_mib


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tutorial", "torch", "fmnist_zoo_fp32", "fmnist_zoo"])
def test_the_arms_in_torch_start_and_train_alike(name: ArmName, inputs: Inputs) -> None:
    check_start(name, inputs)
    check_training(name, inputs)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["lightning", "keras", "jax"])
def test_the_arms_of_the_extra_start_and_train_alike(name: ArmName, inputs: Inputs) -> None:
    check_start(name, inputs)
    check_training(name, inputs)


def test_an_arm_that_ends_is_reported_with_its_last_words(inputs: Inputs) -> None:
    task = Task(arm="torch", folder=inputs.folder, batch_size=50, epochs=1, device="nonsense")
    process = ArmProcess(task, inputs.val_labels, 1)
    try:
        with pytest.raises(JobError, match="nonsense"):
            process.epoch()
    finally:
        process.close()


def test_the_process_of_an_arm_begins_without_any_framework() -> None:
    modules = "benchmarks.peers.worker, benchmarks.workers.server"
    code = f"import sys, {modules}; print([n for n in ('torch', 'jax', 'keras') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.peers
@pytest.mark.parametrize("module", ["keras_on_jax", "plain_jax"])
def test_jax_never_shares_a_process_with_torch(module: str) -> None:
    code = f"import sys, benchmarks.peers.arms.{module}; print('jax' in sys.modules, 'torch' in sys.modules)"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True False"
