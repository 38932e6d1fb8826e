"""FLOPs against a count by hand: formulas per layer from the shapes that hooks see, independent of torch's counter."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from fmnist_zoo import create_model
from fmnist_zoo.flops import FlopCount, count_flops, flop_counter, meta_copy
from fmnist_zoo.registry import FAMILIES

TIMM = ("timm/resnet18", "timm/vit_tiny_patch16_224", "timm/mixer_s16_224")
RECURRENT: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {},
    "rnn": {},
    "lstm two layers both ways": {"num_layers": 2, "bidirectional": True, "hidden": 24, "rows_per_step": 4},
    "gru two layers both ways": {"num_layers": 2, "bidirectional": True, "hidden": 24, "rows_per_step": 4},
    "rnn two layers": {"num_layers": 2, "hidden": 24, "rows_per_step": 4},
}


class ByHand:
    """Multiply-accumulates of a forward and backward pass, layer by layer.

    Backward has a product of the same size for the gradient of a layer's weights, and one for that of its input; the
    layer that sees the images needs only the first.
    """

    def __init__(self) -> None:
        self.forward_macs = self.backward_macs = 0

    def count(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """A hook that a module calls after its forward pass."""
        if isinstance(module, nn.Linear):
            self._layer(output.numel() * module.in_features, inputs[0])
        elif isinstance(module, nn.Conv2d):
            a_position = module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
            self._layer(output.numel() * a_position, inputs[0])
        elif isinstance(module, nn.RNNBase):
            self._recurrent(module, inputs[0])
        elif type(module).__name__ == "Attention":  # ours and timm's: tokens (batch, tokens, dim) in
            batch, tokens, dim = inputs[0].shape
            for _ in ("queries by keys", "weights by values"):
                self.forward_macs += batch * tokens * tokens * dim
                self.backward_macs += 2 * batch * tokens * tokens * dim  # both factors are computed: each needs one

    def _layer(self, macs: int, images: Tensor) -> None:
        self.forward_macs += macs
        self.backward_macs += 2 * macs if images.requires_grad else macs

    def _recurrent(self, module: nn.RNNBase, sequence: Tensor) -> None:
        """One layer, batch first: each step multiplies its input and the state before it into all gates."""
        batch, steps, size = sequence.shape
        gates = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1}[module.mode] * module.hidden_size
        for _ in range(2 if module.bidirectional else 1):
            self._layer(batch * steps * gates * size, sequence)
            self.forward_macs += batch * steps * gates * module.hidden_size
            # The state before the first step is zero and needs no gradient.
            self.backward_macs += batch * (steps + steps - 1) * gates * module.hidden_size


def by_hand(model: nn.Module) -> FlopCount:
    """Count for one image; the passes run on the meta device, where hooks see shapes as anywhere."""
    model, hand = copy.deepcopy(model).to("meta").train(), ByHand()
    for module in model.modules():
        module.register_forward_hook(hand.count)
    model(torch.empty(2, 1, 28, 28, device="meta"))
    return FlopCount(
        forward_flops=2 * hand.forward_macs // 2, training_flops=2 * (hand.forward_macs + hand.backward_macs) // 2
    )


@pytest.mark.parametrize("name", [*FAMILIES, "gru", "rnn", "vit", *TIMM])
def test_flops_agree_with_the_count_by_hand(name: str) -> None:
    model = create_model(name)
    counted, hand = count_flops(model), by_hand(model)
    assert counted.forward_flops == pytest.approx(hand.forward_flops, rel=0.01)
    assert counted.training_flops == pytest.approx(hand.training_flops, rel=0.01)
    assert counted.forward_flops > 0


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_layers_with_options_agree_too(name: str) -> None:
    model = create_model(name.split(maxsplit=1)[0], **RECURRENT[name])
    assert count_flops(model) == by_hand(model)


def counted_live(model: nn.Module, dtype: torch.dtype, run: Callable[[nn.Module, Tensor], Tensor]) -> FlopCount:
    """The same count while the passes really run on the CPU."""
    model, images = copy.deepcopy(model).to(dtype).train(), torch.randn(2, 1, 28, 28).to(dtype)
    with sdpa_kernel(SDPBackend.MATH), flop_counter() as forward:
        logits = run(model, images)
    with flop_counter() as backward:
        logits.float().sum().backward()
    total = forward.get_total_flops() + backward.get_total_flops()
    return FlopCount(forward_flops=forward.get_total_flops() // 2, training_flops=total // 2)


def in_bf16(model: nn.Module, images: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(images)


@pytest.mark.processor
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((name, "fp32") for name in FAMILIES),
        *((name, precision) for name in RECURRENT for precision in ("fp32", "bf16", "bf16_weights")),
    ],
)
def test_the_cpu_counts_what_the_meta_device_counts(name: str, precision: str) -> None:
    model = create_model(name.split(maxsplit=1)[0], **RECURRENT.get(name, {}))
    dtype = torch.bfloat16 if precision == "bf16_weights" else torch.float32
    run = in_bf16 if precision == "bf16" else lambda module, images: module(images)
    assert counted_live(model, dtype, run) == count_flops(model)


@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_evaluation_has_the_forward_flops(name: str, context: Callable[[], Any]) -> None:
    model = create_model(name).eval()
    with context(), flop_counter() as counter:
        model(torch.randn(3, 1, 28, 28))
    assert counter.get_total_flops() == 3 * count_flops(model).forward_flops


class FakeCudnn(TorchDispatchMode):
    """cuDNN's recurrent operators on the meta device: results of the right shapes, and which of them ran."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._cudnn_rnn_backward.default:
            self.ran.append("backward")
            sequence, weights, first_state, cell = args[0], args[1], args[4], args[5]
            gradients = [torch.empty_like(tensor) for tensor in (sequence, first_state)]
            return *gradients, None if cell is None else torch.empty_like(cell), [torch.empty_like(w) for w in weights]
        if func is torch.ops.aten._cudnn_rnn.default:
            self.ran.append("forward")
            *results, _ = func(*args, **(kwargs or {}))
            return *results, args[0].new_empty(sum(weight.numel() for weight in args[1]))  # the weights in one piece
        return func(*args, **(kwargs or {}))


CUDNN_MODES = {nn.RNN: 1, nn.LSTM: 2, nn.GRU: 3}


def through_cudnn(layer: nn.RNNBase, sequence: Tensor) -> Tensor:
    """What a recurrent layer gives on CUDA, by the operator that torch calls there."""
    directions, batch = 2 if layer.bidirectional else 1, sequence.shape[0]
    state = torch.zeros(layer.num_layers * directions, batch, layer.proj_size or layer.hidden_size, device="meta")
    cell = torch.zeros(layer.num_layers * directions, batch, layer.hidden_size, device="meta")
    weights: list[Tensor] = layer._flat_weights  # type: ignore[assignment]
    return torch.ops.aten._cudnn_rnn(
        sequence, weights, len(weights) // (layer.num_layers * directions), None, state,
        cell if isinstance(layer, nn.LSTM) else None, CUDNN_MODES[type(layer)], layer.hidden_size, layer.proj_size,
        layer.num_layers, True, 0.0, True, layer.bidirectional, [], None,
    )[0]  # fmt: skip


def passes(make: Callable[[], Tensor], mode: TorchDispatchMode | None = None) -> tuple[int, int]:
    """FLOPs of a forward and of a backward pass."""
    with mode or flop_counter():
        with flop_counter() as forward:
            output = make()
        with flop_counter() as backward:
            output.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 3},
        {"bidirectional": True, "bias": False},
        {"num_layers": 2, "bidirectional": True},
        {"num_layers": 2, "proj_size": 5},
    ],
    ids=str,
)
@pytest.mark.parametrize("needs_gradient", [False, True])
def test_cudnn_counts_what_the_meta_device_counts(
    kind: Callable[..., nn.RNNBase], options: dict[str, Any], needs_gradient: bool
) -> None:
    if "proj_size" in options and kind is not nn.LSTM:
        return  # torch has projections in LSTMs only
    layer = kind(12, 20, batch_first=True, **options).to("meta")
    sequence = torch.empty(4, 3, 12, device="meta", requires_grad=needs_gradient)
    cudnn = FakeCudnn()
    assert passes(lambda: through_cudnn(layer, sequence), cudnn) == passes(lambda: layer(sequence)[0])
    assert cudnn.ran == ["forward", "backward"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", RECURRENT)
def test_a_real_gpu_counts_what_the_meta_device_counts(name: str) -> None:
    model = create_model(name.split(maxsplit=1)[0], **RECURRENT[name])
    there = copy.deepcopy(model).cuda().train()
    forward, backward = passes(lambda: there(torch.randn(2, 1, 28, 28, device="cuda")))
    assert FlopCount(forward_flops=forward // 2, training_flops=(forward + backward) // 2) == count_flops(model)


@contextmanager
def untouched_hooks() -> Iterator[None]:
    """torch's hooks on all modules are afterwards those that they were before."""
    tables: Iterable[dict[int, Any]] = [
        value
        for name, value in vars(nn.modules.module).items()
        if name.startswith("_global_") and name.endswith("hooks")
    ]
    before = [dict(table) for table in tables]
    assert before
    yield
    assert [dict(table) for table in tables] == before


def test_counting_leaves_no_trace() -> None:
    model = create_model("lstm", hidden=8).eval()
    model.layers[0].register_forward_hook(lambda *_: None)  # type: ignore[index]
    parameters, before = list(model.parameters()), copy.deepcopy(model.state_dict())
    hooks = [dict(module._forward_hooks) for module in model.modules()]
    formulas, state = dict(flop_registry), torch.get_rng_state()
    frames = dict(torch._dynamo.utils.counters["frames"])
    with untouched_hooks():
        count_flops(model)
    assert not model.training and [dict(module._forward_hooks) for module in model.modules()] == hooks
    assert all(a is b for a, b in zip(model.parameters(), parameters, strict=True))
    assert {(p.device.type, p.dtype, p.grad) for p in parameters} == {("cpu", torch.float32, None)}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert flop_registry == formulas and torch.equal(torch.get_rng_state(), state)
    assert _get_current_dispatch_mode_stack() == []
    assert dict(torch._dynamo.utils.counters["frames"]) == frames


def test_what_was_compiled_is_not_compiled_again_after_counting() -> None:
    model = create_model("mlp", hidden=(8,))
    calls: list[int] = []

    def backend(graph: Any, inputs: Any) -> Any:
        calls.append(1)
        return graph

    compiled, images = torch.compile(model, backend=backend), torch.randn(4, 1, 28, 28)
    try:
        compiled(images)
        assert len(calls) == 1
        count_flops(model)
        compiled(images)
        assert len(calls) == 1
    finally:
        torch._dynamo.reset()


def test_other_counters_of_the_process_count_as_they_did() -> None:
    count_flops(create_model("lstm", hidden=8))
    layer = nn.LSTM(4, 5)
    with FlopCounterMode(display=False) as theirs:
        layer(torch.randn(3, 2, 4))
    assert theirs.get_total_flops() == 0


def test_a_copy_on_meta_holds_no_memory_and_keeps_what_is_trained() -> None:
    model = create_model("cnn")
    next(model.parameters()).requires_grad_(False)
    shadow = meta_copy(model)
    assert {tensor.device.type for tensor in [*shadow.parameters(), *shadow.buffers()]} == {"meta"}
    assert [p.requires_grad for p in shadow.parameters()] == [p.requires_grad for p in model.parameters()]
    assert next(model.parameters()).device.type == "cpu"


def test_units() -> None:
    count = FlopCount(forward_flops=3 * 10**9, training_flops=8 * 10**9)
    assert (count.forward_gmacs, count.forward_gflops, count.training_gflops) == (1.5, 3.0, 8.0)
