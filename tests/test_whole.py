"""The step compiled as a whole does what the eager step does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.recipe import Augmentation, Budget, Engine, Precision, Recipe
from fmnist_zoo.registry import create_model
from fmnist_zoo.training.step import TrainingStep
from fmnist_zoo.training.whole import can_be_whole

SCALE = PixelScale("standardize", mean=0.29, std=0.35)
CPU = torch.device("cpu")


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {"budget": Budget("epochs", 2), "batch_size": 100, "lr": 3e-3, **changes}
    return Recipe(**fields)


def trained(small: Dataset, engine: Engine, precision: Precision, spec: Recipe) -> tuple[TrainingStep, torch.Tensor]:
    """Four steps with different rates after a warm-up, and the logits of each image before its update."""
    torch.manual_seed(0)
    # The gradient of a bias before batch normalisation is rounding noise, of which Adam makes whole steps.
    model = create_model("mlp", hidden=(32,), norm="layer")
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    step = TrainingStep(model, spec, scale=SCALE, precision=precision, engine=engine)
    step.warm_up(loader.chunks(0, 2))
    images, labels = next(loader.chunks(0, 4))
    logits = step.chunk(images, labels, [1e-3, 4e-3, 2e-3, 1e-3])
    step.finish()
    return step, logits


@pytest.mark.processor
@pytest.mark.parametrize(
    ("precision", "changes"),
    [
        ("fp32", {"optimizer": "adamw", "weight_decay": 0.1, "clip_grad_norm": 0.3, "ema_decay": 0.5}),
        ("fp32", {"optimizer": "adam", "weight_decay": 0.1}),
        ("bf16_weights", {"optimizer": "adamw", "label_smoothing": 0.1}),
    ],
    ids=["decay, clipping, averaging", "Adam's decay", "bf16 weights"],
)
def test_the_whole_step_is_the_eager_step(precision: Precision, changes: dict[str, Any], small: Dataset) -> None:
    spec = recipe(**changes)
    (whole, logits), (eager, expected) = (trained(small, engine, precision, spec) for engine in ("compile", "eager"))
    assert whole._whole is not None and eager._whole is None
    assert (whole.engine, whole.fallback) == ("compile", None)
    tolerance = 2e-3 if precision == "fp32" else 0.1
    torch.testing.assert_close(logits, expected, rtol=tolerance, atol=tolerance)
    for mine, theirs in zip(whole.model.state_dict().values(), eager.model.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)
    counts = [{float(state["step"]) for state in step.optimizer.state.values()} for step in (whole, eager)]
    assert counts == [{4.0}, {4.0}]  # warm-up left none


def test_where_the_whole_cannot_be_compiled_its_parts_are_and_that_is_said(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*arguments: object, **options: object) -> Any:
        def whole(*batch: object) -> torch.Tensor:
            raise torch._dynamo.exc.Unsupported("Call to something untraceable")

        return whole

    monkeypatch.setattr("fmnist_zoo.training.step.compiled_whole", unsupported)
    step = TrainingStep(create_model("tutorial_mlp_256"), recipe(), scale=SCALE, precision="fp32", engine="compile")
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    with pytest.warns(UserWarning, match="compiling the step as a whole failed"):
        step.warm_up(loader.chunks(0, 1))
    assert step.engine == "compile" and step.fallback is not None and "untraceable" in step.fallback
    assert step._loss != step._eager_loss


def test_a_parameter_without_gradient_keeps_the_parts_apart(small: Dataset) -> None:
    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.unused = nn.Linear(784, 10), nn.Linear(3, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images.flatten(1))

    step = TrainingStep(Spare(), recipe(), scale=SCALE, precision="fp32", engine="compile")
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    step.warm_up(loader.chunks(0, 1))
    assert step._whole is None and (step.engine, step.fallback) == ("compile", None)
    images, labels = next(loader.chunks(0, 1))
    before = step.model.layer.weight.detach().clone()  # type: ignore[union-attr, operator]
    step(images, labels, 1e-2)
    assert not torch.equal(before, step.model.layer.weight.detach())  # type: ignore[union-attr, operator, arg-type]


def test_which_steps_can_be_whole() -> None:
    mlp = create_model("mlp")
    assert can_be_whole(mlp, recipe(), "fp32", CPU) == hasattr(torch._dynamo.config, "trace_autograd_ops")
    assert not can_be_whole(create_model("lstm", hidden=8), recipe(), "fp32", CPU)
    assert not can_be_whole(mlp, recipe(optimizer="muon"), "fp32", CPU)
    assert not can_be_whole(mlp, recipe(), "fp16", CPU)
    assert not can_be_whole(mlp, recipe(), "fp32", torch.device("cuda"))
