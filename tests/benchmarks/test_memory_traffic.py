"""Bytes of a training step: those of its tensors, counted by hand; and that counting leaves no trace."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from benchmarks.measure.memory_traffic import saved_bytes, state_traffic, step_traffic
from fmnist_zoo import create_model
from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.processor import has_bf16
from fmnist_zoo.recipe import Budget, Precision, Recipe
from fmnist_zoo.registry import FAMILIES
from fmnist_zoo.training.step import TrainingStep

BATCH = 50
SCALE = PixelScale("unit", mean=0.3, std=0.4)
IMAGES = torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8)
LABELS = torch.arange(BATCH) % 10


def trained(name: str = "mlp", precision: Precision = "fp32", *, options: Any = None, **changes: Any) -> TrainingStep:
    """A step that has been taken once."""
    recipe = Recipe(budget=Budget("epochs", 1), batch_size=BATCH, **changes)
    model = create_model(name, **(options or {}))
    step = TrainingStep(model, recipe, scale=SCALE, precision=precision, engine="eager")
    step(IMAGES, LABELS, 1e-3)
    return step


def small(precision: Precision = "fp32", **changes: Any) -> TrainingStep:
    return trained("mlp", precision, options={"hidden": (16,)}, **changes)


def test_bytes_of_the_state_are_those_of_the_tensors() -> None:
    # 784-16-10 with batch normalisation, whose weights stay in fp32
    norm, others = 2 * 16, 784 * 16 + 16 + 16 * 10 + 10
    size = norm + others
    sizes = list(state_traffic(small()).values())
    assert sizes[0] == sizes[1] == 2 * 4 * size
    assert 4 * 4 * size <= sizes[2] <= 4 * 4 * size + 2 * 4 * 10  # two moments each, and a count of steps
    assert len(sizes) == 3
    halved = list(state_traffic(small("bf16_weights", ema_decay=0.9)).values())
    assert halved[1] == 2 * (2 * others + 4 * norm) == halved[2]
    assert halved[4] == 2 * 4 * size


@pytest.mark.processor
@pytest.mark.parametrize(("precision", "width"), [("fp32", 4), ("bf16", 2), ("bf16_weights", 2)])
def test_activations_are_those_that_the_backward_pass_needs(precision: Precision, width: int) -> None:
    # The pixels for the first layer's weights; what goes into batch normalisation and its statistics; what ReLU leaves
    # in the place of its input, which serves ReLU itself and the last layer. Weights, and their casts, are not among
    # them.
    expected = BATCH * (784 + 16 + 16) * width + 2 * 16 * 4
    assert saved_bytes(small(precision), IMAGES) == expected


def test_a_batch_is_counted_once_and_activations_in_both_directions() -> None:
    step = small()
    traffic = step_traffic(step, IMAGES, LABELS)
    assert list(traffic)[:3] == list(state_traffic(step))
    assert traffic["input batch (uint8 pixels, int64 labels), read once"] == BATCH * (784 + 8)
    activations = traffic["activations saved for the backward pass, written and read once"]
    assert activations == 2 * saved_bytes(step, IMAGES)


@pytest.mark.processor
@pytest.mark.parametrize("name", FAMILIES)
def test_activations_grow_with_the_batch_and_halve_with_the_format(name: str) -> None:
    full, half = saved_bytes(trained(name), IMAGES), saved_bytes(trained(name, "bf16_weights"), IMAGES)
    assert half < 0.75 * full  # what normalisation keeps stays in fp32
    # Without oneDNN's kernel an LSTM with bf16 weights runs by torch's own, which saves other things.
    assert half > 0.4 * full or (name == "lstm" and not has_bf16(torch.device("cpu")))
    few = saved_bytes(trained(name), IMAGES[: BATCH // 2])
    assert full == pytest.approx(2 * few, rel=0.01)
    # Casts of weights count for nothing: autocast saves no more than weights that are in bf16 do, but for its copies
    # of what layers that stay in fp32 give.
    assert saved_bytes(trained(name, "bf16"), IMAGES) < 1.1 * full


@pytest.mark.processor
def test_casts_of_large_weights_count_for_nothing() -> None:
    wide = {"hidden": (2000,), "norm": "none"}
    expected = BATCH * (784 + 2000) * 2
    assert saved_bytes(trained("mlp", "bf16", options=wide), IMAGES) == expected


def test_a_batch_of_another_size_is_no_step() -> None:
    with pytest.raises(AssertionError, match="full batch"):
        step_traffic(small(), IMAGES[:10], LABELS[:10])


def tensors(step: TrainingStep) -> list[Tensor]:
    return [*step.model.state_dict().values(), *step.module.state_dict().values()]


@pytest.mark.processor
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16_weights"])
def test_it_leaves_no_trace(precision: Precision) -> None:
    step = trained("mlp", precision, options={"dropout": 0.5})
    step.module.eval()
    next(module for module in step.module.modules() if isinstance(module, nn.Dropout)).train()
    modes = [module.training for module in step.module.modules()]
    before, random = [tensor.clone() for tensor in tensors(step)], torch.get_rng_state()
    step_traffic(step, IMAGES, LABELS)
    assert all(torch.equal(a, b) for a, b in zip(tensors(step), before, strict=True))
    assert [module.training for module in step.module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in [*step.model.parameters(), *step.module.parameters()])
    assert _get_current_dispatch_mode_stack() == []


def test_a_model_that_fails_leaves_none_either(monkeypatch: pytest.MonkeyPatch) -> None:
    step = small()
    before = [tensor.clone() for tensor in tensors(step)]
    layers: Any = step.module.layers
    forward: Callable[[Tensor], Tensor] = layers[1].forward

    def fails(features: Tensor) -> Tensor:
        forward(features)
        raise RuntimeError("no memory")

    monkeypatch.setattr(layers[1], "forward", fails)
    with pytest.raises(RuntimeError, match="no memory"):
        step_traffic(step, IMAGES, LABELS)
    assert all(torch.equal(a, b) for a, b in zip(tensors(step), before, strict=True))
    assert _get_current_dispatch_mode_stack() == []
