"""What only a CUDA device can show, and how far a machine without one can vouch for it."""

import itertools
from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from fmnist_zoo import create_model, evaluate, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.data.splits import Split
from fmnist_zoo.recipe import Augmentation, Budget, Engine, Precision, Recipe
from fmnist_zoo.registry import FAMILIES
from fmnist_zoo.training.choose import choose
from fmnist_zoo.training.fit import to_device
from fmnist_zoo.training.ledger import StepWatch
from fmnist_zoo.training.step import TrainingStep

SCALE = PixelScale("unit", mean=0.3, std=0.35)
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "bf16", "fp16", "bf16_weights")
ENGINES: tuple[Engine, Engine] = ("eager", "graph")


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {"budget": Budget("epochs", 3), "batch_size": 100, "lr": 3e-3, **changes}
    return Recipe(**fields)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "lstm"])
def test_no_step_asks_an_accelerator_for_a_value(family: str) -> None:
    """On tensors that only pretend to be on CUDA: reading a value (`.item()`, a mask) would raise here.

    Covers batch preparation, forward pass and loss; backward pass, optimizer and cuDNN's LSTM need a driver.
    """
    with FakeTensorMode(), torch.device("cuda"):
        split = Split(images=torch.zeros(64, 1, 28, 28, dtype=torch.uint8), labels=torch.zeros(64, dtype=torch.int64))
        step = TrainingStep(create_model(family), recipe(), scale=SCALE, precision="fp32", engine="eager")
        augmentation = Augmentation.parse("shift:2,flip,erase:0.5")
        loader = TrainLoader.__new__(TrainLoader)  # its constructor reads the mean pixel, once, before training
        loader.labels, loader.augmentation, loader._fill = split.labels, augmentation, 73
        loader._windows = torch.zeros(64, 2, 5, 5, 28, 28, dtype=torch.uint8)
        index = [torch.zeros(16, dtype=torch.int64)] * 4 + [torch.zeros(16, dtype=torch.int16)] * 4
        images, labels = loader._prepare(index)
        loss, logits = step._eager_loss(images, labels)
    assert logits.shape == (16, 10) and logits.device.type == loss.device.type == "cuda"


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_in_every_precision(family: str, precision: Precision, small: Dataset) -> None:
    torch.manual_seed(0)
    model = create_model(family)
    result = fit(model, small, recipe=recipe(), num_val=500, device="cuda", precision=precision)
    assert result.history[-1]["val_top1_pct"] is not None and result.history[-1]["val_top1_pct"] > 60
    assert evaluate(model, small.test, scale=result.scale, precision=precision)["top1_pct"] > 60


@pytest.mark.gpu
@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_bf16_follows_eager_fp32(family: str, small: Dataset) -> None:
    losses = {}
    for precision, engine in (("fp32", "eager"), ("bf16", "compile")):
        torch.manual_seed(0)
        result = fit(create_model(family), small, recipe=recipe(), device="cuda", precision=precision, engine=engine)  # type: ignore[arg-type]
        assert result.engine == engine and result.fallback is None
        losses[precision] = result.history[-1]["train_loss"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], abs=0.08)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_never_waits_for_the_device(family: str, precision: Precision, small: Dataset) -> None:
    device = torch.device("cuda")
    loader = TrainLoader(
        small.train.to(device), batch_size=100, augmentation=Augmentation.parse("shift:2,flip"), seed=0
    )
    step = TrainingStep(
        to_device(create_model(family), device),
        recipe(ema_decay=0.9, clip_grad_norm=1.0),
        scale=SCALE,
        precision=precision,
        engine="eager",
    )
    step.warm_up(loader.batches(0, 3))
    batches, told = list(loader.batches(0, 3)), list[tuple[int, float]]()
    torch.cuda.synchronize()
    watch = StepWatch(device, lambda steps, seconds: told.append((steps, seconds)), clock=itertools.count().__next__)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for images, labels in batches:
            step.chunk(images, labels, [1e-3], watch.step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    watch.finish()
    assert told[-1][0] == 3 and told[-1][1] > 0


@pytest.mark.gpu
def test_lstm_under_bf16_autocast_stays_out_of_fp16(small: Dataset) -> None:
    device = torch.device("cuda")
    model = create_model("lstm").to(device)
    seen = []
    model.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(output[0].dtype))  # type: ignore[index]
    with torch.autocast("cuda", dtype=torch.bfloat16):
        model(small.train.images[:8].to(device) / 255)
    assert seen == [torch.float32]


@pytest.mark.gpu
def test_batches_are_those_of_the_cpu(small: Dataset) -> None:
    augmentation = Augmentation.parse("shift:2,flip,erase:0.5")
    epochs = [
        list(TrainLoader(small.train.to(device), batch_size=100, augmentation=augmentation, seed=3).batches(2))
        for device in ("cpu", "cuda")
    ]
    for (images, labels), (images_there, labels_there) in zip(*epochs, strict=True):
        assert torch.equal(images, images_there.cpu()) and torch.equal(labels, labels_there.cpu())


@pytest.mark.gpu
def test_the_default_is_amp_with_the_compiler(small: Dataset) -> None:
    loader = TrainLoader(small.train.to("cuda"), batch_size=100, augmentation=Augmentation(), seed=0)
    choice = choose(create_model("mlp").cuda(), recipe(), loader, SCALE, precision=None, engine=None)
    assert choice.precision in ("bf16", "fp16") and choice.engine == "compile"
    assert choice.reason is not None and "as a captured graph" in choice.reason


@pytest.mark.gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_captured_training_follows_eager_training(family: str, precision: Precision, small: Dataset) -> None:
    losses = {}
    for engine in ENGINES:
        torch.manual_seed(0)
        spec = recipe(ema_decay=0.9, clip_grad_norm=1.0)
        result = fit(
            create_model(family), small, recipe=spec, num_val=500, device="cuda", precision=precision, engine=engine
        )
        assert (result.engine, result.fallback) == (engine, None)
        losses[engine] = (result.history[-1]["train_loss"], result.history[-1]["val_loss"])
    assert losses["graph"] == pytest.approx(losses["eager"], abs=0.08)


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "muon"])
def test_every_optimizer_can_be_captured(optimizer: str, small: Dataset) -> None:
    losses = []
    for engine in ENGINES:
        torch.manual_seed(0)
        rate = {"sgd": 0.05, "rmsprop": 3e-4}.get(optimizer, 3e-3)
        result = fit(
            create_model("mlp"), small, recipe=recipe(optimizer=optimizer, lr=rate), device="cuda", engine=engine
        )
        assert (result.engine, result.fallback) == (engine, None)
        losses.append(result.history[-1]["train_loss"])
    assert losses[1] == pytest.approx(losses[0], abs=0.05)


@pytest.mark.gpu
def test_what_waits_for_the_device_is_not_captured_and_says_so(small: Dataset) -> None:
    class Waiting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(784, 10)  # recurrent: kept from the compiler, which would break the graph instead

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = self.rnn(images.flatten(1))[0]
            return logits * (1.0 if float(logits.sum()) > 0 else 2.0)

    with pytest.warns(UserWarning, match="capturing the step failed"):
        result = fit(Waiting(), small, recipe=recipe(), device="cuda", engine="graph")
    assert result.engine == "eager" and result.fallback is not None
    assert (result.history[-1]["train_loss"] or 9.0) < 2.0


@pytest.mark.gpu
def test_a_captured_evaluation_gives_the_eager_scores(small: Dataset) -> None:
    model = create_model("cnn").cuda()
    found = [evaluate(model, small.test, scale=SCALE, engine=engine)["logits"] for engine in ENGINES]
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-3)
