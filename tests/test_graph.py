"""The captured step and forward pass, with a stand-in for the CUDA graph that calls the function at each replay."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import Predictor
from fmnist_zoo.recipe import Augmentation, Budget, Precision, Recipe
from fmnist_zoo.registry import create_model
from fmnist_zoo.training.fit import train_epoch
from fmnist_zoo.training.graph import NUM_WARMUP_CALLS, CapturedForward, CapturedSteps, NotCapturableError
from fmnist_zoo.training.modules import worth_compiling
from fmnist_zoo.training.optimizers import make_optimizer, set_lr
from fmnist_zoo.training.step import TrainingStep

SCALE = PixelScale("standardize", mean=0.29, std=0.35)


class FakeGraph:
    """What `capture_cuda` promises, on a CPU: warm-up calls, then the function again at each replay."""

    def __init__(self, function: Callable[[], None], device: torch.device) -> None:
        self.function, self.replays = function, 0
        for _ in range(NUM_WARMUP_CALLS):
            function()

    def replay(self) -> None:
        self.replays += 1
        self.function()


def not_capturable(function: Callable[[], None], device: torch.device) -> FakeGraph:
    function()
    raise NotCapturableError("operation not permitted when stream is capturing")


def recipe(**changes: Any) -> Recipe:
    # A captured rate is a float32: this one is exact in it, so that results are equal bit for bit.
    exact = {"schedule": "constant", "lr_warmup_fraction": 0.0, "lr": 2.0**-8}
    fields: dict[str, Any] = {"budget": Budget("epochs", 2), "batch_size": 100, **exact, **changes}
    return Recipe(**fields)


def trained(small: Dataset, family: str, *, graph: bool, precision: Precision = "fp32", **changes: Any) -> Any:
    """Weights, statistics and logits after one and a half epochs of one and the same training."""
    torch.manual_seed(0)
    model = create_model(family)
    spec = recipe(**changes)
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation.parse("flip,shift:1"), seed=2)
    step = TrainingStep(model, spec, scale=SCALE, precision=precision, engine="eager")
    if graph:
        step = TrainingStep(model, spec, scale=SCALE, precision=precision, engine="graph", capture=FakeGraph)
        step._loss = step._eager_loss  # what is captured is the matter here, not the compiler
    step.warm_up(loader.chunks(0, 2))
    outputs = [train_epoch(step, loader, epoch, done=20 * epoch, total=30)[0] for epoch in (0, 1)]
    step.finish()
    assert step.engine == ("graph" if graph else "eager") and step.fallback is None
    return torch.cat(outputs), torch.cat([value.flatten().float() for value in model.state_dict().values()])


@pytest.mark.processor
@pytest.mark.parametrize("family", ["mlp", "lstm"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema_decay": 0.9, "clip_grad_norm": 0.5},
        {"optimizer": "sgd", "lr": 2.0**-4},
        {"precision": "bf16_weights"},
    ],
    ids=str,
)
def test_captured_training_is_eager_training(family: str, changes: dict[str, Any], small: Dataset) -> None:
    (logits, weights), (expected_logits, expected) = (
        trained(small, family, graph=graph, **changes) for graph in (True, False)
    )
    assert torch.equal(logits, expected_logits)
    assert torch.equal(weights, expected)


def test_a_chunk_is_one_replay_a_step(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmnist_zoo.data.loader.CHUNK", 300)
    graphs = []

    def capture(function: Callable[[], None], device: torch.device) -> FakeGraph:
        graphs.append(FakeGraph(function, device))
        return graphs[-1]

    step = TrainingStep(
        create_model("lstm", hidden=8), recipe(), scale=SCALE, precision="fp32", engine="graph", capture=capture
    )
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    step.warm_up(loader.chunks(0, 2))
    (graph,) = graphs
    assert graph.replays == 2
    train_epoch(step, loader, 0, done=0, total=7)
    assert graph.replays == 9


def test_each_step_gets_its_own_batch_and_rate() -> None:
    seen = []

    def update(images: torch.Tensor, labels: torch.Tensor, lr: torch.Tensor) -> torch.Tensor:
        seen.append((images[:, 0, 0, 0].tolist(), labels.tolist(), float(lr)))
        return labels.unsqueeze(1) * torch.ones(3)

    steps = CapturedSteps(update, batch_size=2, num_classes=3, device=torch.device("cpu"), capture=FakeGraph)
    for start in (0, 6):  # the second chunk is shorter than the first
        seen.clear()
        labels = torch.arange(start, start + (6 if start == 0 else 4))
        images = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)
        lrs = [0.5, 0.25, 0.125][: len(labels) // 2]
        logits = steps(images, labels, lrs)
        pairs = [pair.tolist() for pair in labels.split(2)]
        assert seen == [(pair, pair, lr) for pair, lr in zip(pairs, lrs, strict=True)]
        assert torch.equal(logits, labels.unsqueeze(1) * torch.ones(3))


def test_a_step_that_cannot_be_captured_runs_without_and_says_so(small: Dataset) -> None:
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    outcomes = []
    for capture, engine in ((not_capturable, "graph"), (FakeGraph, "eager")):
        torch.manual_seed(0)
        model = create_model("lstm", hidden=8)
        step = TrainingStep(model, recipe(), scale=SCALE, precision="fp32", engine=engine, capture=capture)  # type: ignore[arg-type]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            step.warm_up(loader.chunks(0, 2))
        outcomes.append(train_epoch(step, loader, 0, done=0, total=20)[0])
        assert step.engine == "eager"
        if engine == "graph":
            assert len(caught) == 1 and str(caught[0].message) == step.fallback
            assert step.fallback is not None and "capturing the step failed" in step.fallback
            assert "not permitted when stream is capturing" in step.fallback
    assert torch.equal(*outcomes)


@pytest.mark.processor
@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_scaler_that_waits_for_the_device_is_not_captured_and_training_goes_on(
    clip: float | None, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Muon in fp16: here on a processor that is said to have it."""
    monkeypatch.setattr("fmnist_zoo.training.precision.has_fp16", lambda device: True)
    spec = recipe(optimizer="muon", clip_grad_norm=clip)
    step = TrainingStep(
        create_model("mlp", hidden=(32,)), spec, scale=SCALE, precision="fp16", engine="graph", capture=FakeGraph
    )
    step._loss = step._eager_loss
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    with pytest.warns(UserWarning, match="gradient scaler waits for the device"):
        step.warm_up(loader.chunks(0, 2))
    assert step.engine == "eager"
    logits = train_epoch(step, loader, 0, done=0, total=20)[0]
    assert torch.isfinite(logits).all()


def test_other_errors_of_a_capture_are_not_swallowed(small: Dataset) -> None:
    def broken(function: Callable[[], None], device: torch.device) -> FakeGraph:
        raise RuntimeError("unspecified launch failure")

    step = TrainingStep(
        create_model("lstm", hidden=8), recipe(), scale=SCALE, precision="fp32", engine="graph", capture=broken
    )
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    with pytest.raises(RuntimeError, match="unspecified launch failure"):
        step.warm_up(loader.chunks(0, 2))


def test_a_captured_forward_pass_reads_the_weights_as_they_are_then(small: Dataset) -> None:
    model = create_model("mlp", hidden=(16,)).eval()
    captures = []

    def capture(function: Callable[[], None], device: torch.device) -> FakeGraph:
        captures.append(function)
        return FakeGraph(function, device)

    forward = CapturedForward(lambda images: model(SCALE(images)), capture)
    images = small.test.images
    with torch.inference_mode():
        for batch in (images[:50], images[50:100], images[:7], images[100:150]):
            torch.testing.assert_close(forward(batch), model(SCALE(batch)))
        assert len(captures) == 2  # one for each shape
        for parameter in model.parameters():
            parameter.mul_(0.5)
        torch.testing.assert_close(forward(images[:50]), model(SCALE(images[:50])))


@pytest.mark.processor
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16_weights"])
def test_a_predictor_follows_its_model(precision: Precision, small: Dataset) -> None:
    model = create_model("mlp", hidden=(16,))
    predictor = Predictor(model, scale=SCALE, precision=precision)
    model.train()
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.add_(0.1)
    predictor.refresh()
    expected = Predictor(model, scale=SCALE, precision=precision).logits(small.test.images)
    torch.testing.assert_close(predictor.logits(small.test.images), expected)


def test_a_captured_learning_rate_is_a_tensor_that_is_written_in_place() -> None:
    """As on CUDA, where the graph keeps reading the same address."""
    parameter = torch.nn.Parameter(torch.ones(3, 3))
    optimizer = make_optimizer([parameter], recipe(optimizer="sgd", momentum=0.0, weight_decay=0.0))
    lr = torch.tensor(0.5)
    optimizer.param_groups[0]["lr"] = lr
    set_lr(optimizer, torch.tensor(0.25))
    parameter.grad = torch.ones(3, 3)
    optimizer.step()
    assert optimizer.param_groups[0]["lr"] is lr and float(lr) == 0.25
    torch.testing.assert_close(parameter.detach(), torch.full((3, 3), 0.75))
    set_lr(optimizer, 0.125)
    assert optimizer.param_groups[0]["lr"] is lr and float(lr) == 0.125


def test_recurrent_models_are_kept_from_the_compiler() -> None:
    assert worth_compiling(create_model("cnn")) and not worth_compiling(create_model("lstm", hidden=8))


def test_a_cpu_has_no_graphs() -> None:
    with pytest.raises(ValueError, match="engine graph .* use eager or compile"):
        TrainingStep(create_model("mlp"), recipe(), scale=SCALE, precision="fp32", engine="graph")
    with pytest.raises(ValueError, match="engine graph"):
        Predictor(create_model("mlp"), scale=SCALE, engine="graph")
