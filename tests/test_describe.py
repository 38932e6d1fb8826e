"""A model layer by layer: sums against other counts, receptive fields against those that arithmetic gives."""

import math

import pytest
import torch
from torch import nn

from fmnist_zoo import create_model, list_models
from fmnist_zoo.describe import model_layers, receptive_fields, weight_statistics
from fmnist_zoo.flops import count_flops

MODELS = [*list_models(), "timm/resnet18", "timm/vit_tiny_patch16_224"]


@pytest.mark.parametrize("name", MODELS)
def test_the_lines_add_up_to_the_model(name: str) -> None:
    model = create_model(name)
    layers = model_layers(model)
    assert sum(layer.num_params for layer in layers) == sum(parameter.numel() for parameter in model.parameters())
    assert 2 * sum(layer.macs for layer in layers) == count_flops(model).forward_flops
    assert layers[-1].output_shape == (10,) or layers[0].output_shape == (10,)


def test_a_convolution_is_described_as_arithmetic_has_it() -> None:
    first, norm, *_ = model_layers(create_model("cnn", widths=(32, 64), depth=(1, 1)))
    assert (first.name, first.kind) == ("stages.0.0", "Conv2d")
    assert first.output_shape == (32, 14, 14)
    assert first.num_params == 32 * 9
    assert first.macs == 14 * 14 * 32 * 9
    assert first.receptive_field == (3, 3)
    assert (norm.num_params, norm.macs, norm.receptive_field) == (64, 0, None)


def test_the_model_is_left_as_it_was() -> None:
    model = create_model("cnn_s").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model_layers(model)
    weight_statistics(model)
    assert model.training and not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def strided(*layers: tuple[int, int, int]) -> nn.Sequential:
    """Convolutions of (kernel, stride, dilation) with padding that keeps the place."""
    return nn.Sequential(
        *(
            nn.Conv2d(1, 1, kernel, stride=stride, dilation=dilation, padding=dilation * (kernel // 2))
            for kernel, stride, dilation in layers
        )
    )


@pytest.mark.parametrize(
    "layers",
    [
        [(3, 1, 1)] * 4,
        [(3, 2, 1), (3, 2, 1), (3, 1, 1)],
        [(5, 1, 1), (3, 2, 1), (1, 1, 1)],
        [(3, 1, 3), (3, 1, 2)],
        [(7, 4, 1), (3, 1, 1)],
    ],
)
def test_receptive_fields_are_those_that_arithmetic_gives(layers: list[tuple[int, int, int]]) -> None:
    """r' = r + (kernel - 1) dilation jump; jump' = jump stride: Araujo et al., 2019, doi:10.23915/distill.00021."""
    field, jump = 1, 1
    expected: list[list[tuple[int, int]]] = []
    for kernel, stride, dilation in layers:
        field, jump = field + (kernel - 1) * dilation * jump, jump * stride
        expected.append([(min(field, 28), min(field, 28))])
    assert list(receptive_fields(strided(*layers)).values()) == expected


def test_zero_weights_hide_nothing() -> None:
    model = strided((3, 1, 1))
    nn.init.zeros_(model[0].weight)  # type: ignore[arg-type]
    assert receptive_fields(model) == {"0": [(3, 3)]}


def test_what_lies_between_layers_counts() -> None:
    """A sum over two paths sees what the wider one sees; a layer used twice has a field for each use."""

    class TwoPaths(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(1, 1, (5, 1), padding=(2, 0))
            self.after = nn.Conv2d(1, 1, 1)
            self.pool = nn.MaxPool2d(2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.pool(self.pool(self.after(images + self.wide(images))))

    assert receptive_fields(TwoPaths()) == {"wide": [(5, 1)], "after": [(5, 1)], "pool": [(6, 2), (8, 4)]}


def test_rows_of_a_recurrent_net_have_no_place_on_the_image() -> None:
    assert {layer.receptive_field for layer in model_layers(create_model("lstm"))} == {None}


def test_weight_statistics_are_those_of_the_tensors() -> None:
    model = nn.Linear(2, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
        model.bias.zero_()
    weight, bias = weight_statistics(model, num_values=2)
    assert (weight.name, weight.shape, weight.mean, weight.least, weight.greatest) == ("weight", (2, 2), 3.0, 1.0, 6.0)
    assert weight.std == pytest.approx(math.sqrt(3.5))
    assert weight.first_values == (1.0, 2.0)
    assert (bias.mean, bias.std) == (0.0, 0.0)


def test_running_averages_are_shown_and_counters_are_not() -> None:
    names = {one.name for one in weight_statistics(nn.BatchNorm2d(2))}
    assert names == {"weight", "bias", "running_mean", "running_var"}
