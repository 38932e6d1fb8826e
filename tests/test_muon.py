"""Muon: the orthogonal factor, which weights it takes, and its step by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import create_model
from fmnist_zoo.training.muon import Muon, hidden_matrices, orthogonalized
from fmnist_zoo.training.optimizers import make_optimizer


def polar(matrix: torch.Tensor) -> torch.Tensor:
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    return left @ right


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 10**6), st.sampled_from([1e-6, 1.0, 1e6]))
def test_all_directions_of_an_orthogonalised_matrix_have_about_the_same_size(
    rows: int, columns: int, seed: int, size: float
) -> None:
    left, right = (torch.randn(n, n, generator=torch.Generator().manual_seed(seed + n)) for n in (rows, columns))
    rank = min(rows, columns)
    values = torch.logspace(0, -1.5, rank)  # singular values over a factor of 30
    matrix = polar(left)[:, :rank] * values @ polar(right)[:rank] * size
    found = torch.linalg.svdvals(orthogonalized(matrix).float())
    assert float(found.min()) > 0.3 and float(found.max()) < 1.4
    aligned = torch.linalg.svdvals(polar(matrix).T @ orthogonalized(matrix).float())
    torch.testing.assert_close(aligned[:rank], found, rtol=0.1, atol=0.1)


def test_zero_stays_zero() -> None:
    assert torch.equal(orthogonalized(torch.zeros(20, 30)).float(), torch.zeros(20, 30))


def test_hidden_matrices_are_all_but_the_classifier_and_small_or_odd_ones() -> None:
    names = {}
    for family in ("mlp", "cnn", "lstm", "transformer"):
        model = create_model(family)
        chosen = {id(parameter) for parameter in hidden_matrices(list(model.parameters()))}
        names[family] = {name for name, parameter in model.named_parameters() if id(parameter) in chosen}
    assert names["mlp"] == {"layers.0.weight", "layers.3.weight"}
    assert names["lstm"] == {"layers.0.weight_ih_l0", "layers.0.weight_hh_l0"}
    assert not any("stages.0.0" in name or "head" in name for name in names["cnn"]) and len(names["cnn"]) == 4
    assert "position" not in names["transformer"] and "blocks.1.attention.qkv.weight" in names["transformer"]


def test_the_first_step_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    first, last = nn.Linear(48, 32), nn.Linear(32, 10)
    layers, hidden, head = nn.Sequential(first, last), first.weight, last.weight
    gradients: dict[torch.Tensor, torch.Tensor] = {
        parameter: torch.randn(parameter.shape, generator=generator) for parameter in layers.parameters()
    }
    for parameter, gradient in gradients.items():
        parameter.grad = gradient.clone()
    before: dict[torch.Tensor, torch.Tensor] = {
        parameter: parameter.detach().clone() for parameter in layers.parameters()
    }
    optimizer = make_optimizer(list(layers.parameters()), Recipe(optimizer="muon", lr=0.01, weight_decay=0.5))
    assert isinstance(optimizer, Muon)
    optimizer.step()
    decayed = before[hidden] * (1 - 0.01 * 0.5)
    move = (decayed - hidden.detach()) / (0.01 * 0.2 * math.sqrt(48))
    assert float((move - polar(gradients[hidden])).norm() / move.norm()) < 0.35  # singular values are only nearly 1
    # AdamW's first step moves each weight by the learning rate, against the sign of its gradient.
    expected = before[head] * (1 - 0.01 * 0.5) - 0.01 * gradients[head].sign()
    torch.testing.assert_close(head.detach(), expected, rtol=1e-4, atol=1e-4)


def test_momentum_remembers_and_a_weight_without_gradient_stays() -> None:
    first = nn.Linear(48, 32)
    layers, hidden = nn.Sequential(first, nn.Linear(32, 10)), first.weight
    optimizer = make_optimizer(list(layers.parameters()), Recipe(optimizer="muon", lr=0.01, weight_decay=0.0))
    gradient = torch.randn(32, 48, generator=torch.Generator().manual_seed(1))
    before = hidden.detach().clone()
    optimizer.step()
    assert torch.equal(hidden.detach(), before)
    for value in (gradient, torch.zeros_like(gradient)):
        hidden.grad = value.clone()
        moved_from = hidden.detach().clone()
        optimizer.step()
    assert float((hidden.detach() - moved_from).norm()) > 0


@pytest.mark.parametrize("family", ["cnn", "transformer"])
def test_kernels_in_channels_last_order_move_like_others(family: str) -> None:
    moved = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        model = create_model(family).to(memory_format=memory_format)
        for index, parameter in enumerate(model.parameters()):
            generator = torch.Generator().manual_seed(index)
            parameter.grad = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        make_optimizer(list(model.parameters()), Recipe(optimizer="muon", lr=0.01)).step()
        moved.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(*moved)


def test_an_overflow_under_a_gradient_scaler_changes_nothing() -> None:
    layer = nn.Linear(48, 32)
    layers = nn.Sequential(layer, nn.Linear(32, 10))
    optimizer = make_optimizer(list(layers.parameters()), Recipe(optimizer="muon", lr=0.01, weight_decay=0.1))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    images = torch.randn(8, 48, generator=torch.Generator().manual_seed(0))

    def step(factor: float) -> torch.Tensor:
        scaler.scale(layers(images * factor).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        return torch.cat([parameter.detach().flatten() for parameter in layers.parameters()])

    first = step(1.0)
    assert torch.equal(step(float("inf")), first)
    assert torch.isfinite(optimizer.state[layer.weight]["momentum"]).all()
    # Gradients are unscaled first: the momentum holds a tenth and less of them, not a thousandfold.
    assert float(optimizer.state[layer.weight]["momentum"].abs().max()) < 1.0
    assert not torch.equal(step(1.0), first)
