"""A model's layers, with shapes, parameters, work and receptive fields, and statistics of its weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fmnist_zoo.flops import flop_counter, meta_copy

SIDE = 28
LOCAL = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
"""Spatial layers, with a receptive field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One call of a module in a forward pass.

    Attributes:
        name: the module's path in the model; empty for the model itself.
        kind: the module's class.
        output_shape: for one image, without the batch; of the first tensor if there are several.
        num_params: its own parameters and those of submodules that are never called; 0 for repeated calls.
        macs: its own multiply-accumulates for one image, without its submodules'.
        receptive_field: most rows and columns of the image that an output depends on; None if not spatial.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    num_params: int
    macs: int
    receptive_field: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightStatistics:
    """Statistics of a parameter or float buffer; `std` is the population's."""

    name: str
    shape: tuple[int, ...]
    mean: float
    std: float
    least: float
    greatest: float
    first_values: tuple[float, ...]


def model_layers(model: nn.Module) -> list[Layer]:
    """The layers of a model in the order a 1 x 28 x 28 image reaches them; the model is not changed.

    Modules with submodules are included if they have parameters or work of their own, such as attention's products.
    Parameters and multiply-accumulates of all layers add up to the model's.
    """
    shadow = meta_copy(model).eval()
    fields = {name: iter(sizes) for name, sizes in receptive_fields(model).items()}  # one per call of a layer
    names = {module: name for name, module in shadow.named_modules()}
    uses = _uses(shadow)
    num_params = _num_params(shadow, {use.module for use in uses})
    layers = []
    for use in uses:
        own_params = num_params.pop(use.module, 0)
        is_leaf = next(use.module.children(), None) is None
        if not (is_leaf or own_params or use.flops) or isinstance(use.module, nn.Identity):
            continue
        layers.append(
            Layer(
                name=names[use.module],
                kind=type(use.module).__name__,
                output_shape=use.output_shape,
                num_params=own_params,
                macs=use.flops // 2,
                receptive_field=next(fields.get(names[use.module], iter(())), None),
            )
        )
    return layers


def receptive_fields(model: nn.Module) -> dict[str, list[tuple[int, int]]]:
    """Receptive fields (rows, columns) of each convolution and pooling, by layer name, one per call.

    Found by experiment: with NaN in one row or column of the image, the outputs that depend on it are NaN. Runs in
    double precision, where torch has no kernel that transforms tiles (Winograd) and would spread the NaN. The image
    border cuts a field, so it is at most 28.
    """
    subject = copy.deepcopy(model).to("cpu", torch.float64).eval()
    fields: dict[str, list[tuple[int, int]]] = {}

    def note(name: str, output: Tensor) -> None:
        depends = output.isnan().any(1)  # (28 rows and 28 columns, height, width)
        rows, columns = (_longest_extent(part) for part in depends.split(SIDE))
        fields.setdefault(name, []).append((rows, columns))

    images = torch.zeros(2 * SIDE, 1, SIDE, SIDE, dtype=torch.float64)
    for place in range(SIDE):
        images[place, 0, place] = torch.nan
        images[SIDE + place, 0, :, place] = torch.nan
    handles = [
        module.register_forward_hook(lambda module, inputs, output, name=name: note(name, output))
        for name, module in subject.named_modules()
        if isinstance(module, LOCAL)
    ]
    if handles:
        with torch.inference_mode():
            subject(images)
    return fields


def weight_statistics(model: nn.Module, *, num_values: int = 4) -> list[WeightStatistics]:
    """Statistics of each weight, bias and running average, in the order of the model.

    Args:
        model: on any device.
        num_values: first values to keep of each.
    """
    found = []
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        values = tensor.detach().cpu().double().flatten()
        found.append(
            WeightStatistics(
                name=name,
                shape=tuple(tensor.shape),
                mean=float(values.mean()),
                std=float(values.std(correction=0)),
                least=float(values.min()),
                greatest=float(values.max()),
                first_values=tuple(values[:num_values].tolist()),
            )
        )
    return found


@dataclass(kw_only=True, slots=True, eq=False)
class _Use:
    """A call of a module; once done, `flops` are its own."""

    module: nn.Module
    started_at: int
    of_children: int = 0
    flops: int = 0
    output_shape: tuple[int, ...] = ()


def _uses(shadow: nn.Module) -> list[_Use]:
    """Module calls in a forward pass of one image on the meta device, in the order they begin."""
    uses: list[_Use] = []
    running: list[_Use] = []
    with flop_counter() as counter:

        def begin(module: nn.Module, _: Any) -> None:
            running.append(_Use(module=module, started_at=counter.get_total_flops()))
            uses.append(running[-1])

        def end(_: nn.Module, __: Any, output: Any) -> None:
            use = running.pop()
            flops = counter.get_total_flops() - use.started_at
            use.flops = flops - use.of_children
            use.output_shape = _shape(output)
            if running:
                running[-1].of_children += flops

        with _hooked(shadow, begin, end):
            shadow(torch.empty(1, 1, SIDE, SIDE, device="meta"))
    return uses


@contextmanager
def _hooked(model: nn.Module, begin: Any, end: Any) -> Iterator[None]:
    handles: list[RemovableHandle] = []
    for module in model.modules():
        handles += [module.register_forward_pre_hook(begin), module.register_forward_hook(end)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _shape(output: Any) -> tuple[int, ...]:
    """Shape of the first tensor without the batch of one image; the whole shape if something else comes first."""
    while isinstance(output, (tuple, list)):
        output = output[0]
    shape = tuple(output.shape)
    return shape[1:] if shape[:1] == (1,) else shape


def _num_params(model: nn.Module, called: set[nn.Module]) -> dict[nn.Module, int]:
    """Number of parameters by called module; shared ones are counted once, at the first."""
    owner = {"": model}
    counts: dict[nn.Module, int] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        if name:
            owner[name] = module if module in called else owner[name.rpartition(".")[0]]
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                counts[owner[name]] = counts.get(owner[name], 0) + parameter.numel()
    return counts


def _longest_extent(depends: Tensor) -> int:
    """Largest extent, from first to last line, that the output at any position depends on.

    Args:
        depends: `(lines, height, width)`: whether the output at a position depends on a line of the image.
    """
    places = depends.flatten(1).T.int()  # (positions, lines)
    first = places.argmax(1)
    last = places.shape[1] - 1 - places.flip(1).argmax(1)
    return int(((last - first + 1) * places.any(1)).max())
