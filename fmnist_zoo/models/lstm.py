"""Recurrent networks over the rows of the image: LSTM, GRU and plain (Elman) RNN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmnist_zoo.models.base import Classifier
from fmnist_zoo.models.layers import check_positive, check_probability
from fmnist_zoo.processor import recurrent_dtype
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import register_model

_CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


@register_model(
    "lstm",
    family="lstm",
    summary="LSTM over 28 rows as 28 steps",
    reference="Hochreiter & Schmidhuber, 1997, Long short-term memory; forget gate: Gers et al., 2000",
    recipe=Recipe(optimizer="muon", lr=1e-2, weight_decay=0.3),
    tuned={"adamw": {"lr": 8e-3, "weight_decay": 0.2}, "muon": {"lr": 12e-3, "weight_decay": 0.13}},
)
@register_model(
    "gru",
    family="lstm",
    summary="gated recurrent unit over 28 rows",
    reference="Cho et al., 2014, arXiv:1406.1078",
    defaults={"cell": "gru"},
)
@register_model(
    "rnn",
    family="lstm",
    summary="plain recurrent network (Elman) over 28 rows",
    reference="Elman, 1990, Finding structure in time",
    defaults={"cell": "rnn"},
)
class RowRecurrent(Classifier):
    """Recurrent layers over groups of rows; the last hidden state is classified.

    Args:
        cell: `lstm`, `gru` or `rnn`.
        hidden: size of the hidden state.
        num_layers: stacked recurrent layers.
        rows_per_step: rows per step, a divisor of 28: 1 gives 28 steps, 4 gives 7.
        bidirectional: also read upwards, and classify both last states together.
        dropout: between recurrent layers and before the classifier.
        num_classes: logits.
    """

    def __init__(
        self,
        *,
        cell: Literal["lstm", "gru", "rnn"] = "lstm",
        hidden: int = 128,
        num_layers: int = 1,
        rows_per_step: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        check_positive(hidden=hidden, num_layers=num_layers, rows_per_step=rows_per_step)
        check_probability(dropout=dropout)
        if 28 % rows_per_step:
            raise ValueError(f"rows_per_step={rows_per_step} must divide 28: use 1, 2, 4, 7, 14 or 28")
        self.rows_per_step = rows_per_step
        directions = 2 if bidirectional else 1
        # One module per layer, with nn.Dropout between: cuDNN's own dropout keeps state that CUDA graphs can't capture.
        sizes = [28 * rows_per_step] + [hidden * directions] * (num_layers - 1)
        self.layers = nn.ModuleList(
            _CELLS[cell](size, hidden, batch_first=True, bidirectional=bidirectional) for size in sizes
        )
        self.dropout = nn.Dropout(dropout)
        self.num_features = hidden * directions
        self.reset_classifier(num_classes)
        if cell == "lstm":
            self._open_forget_gates(hidden)

    def _open_forget_gates(self, hidden: int) -> None:
        # A forget gate that starts open lets gradients reach the first rows (Jozefowicz et al., 2015, ICML).
        with torch.no_grad():
            for name, parameter in self.layers.named_parameters():
                if "bias_ih" in name:
                    parameter[hidden : 2 * hidden].fill_(1.0)

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        # (batch, steps, pixels of a step)
        sequence = images.reshape(images.shape[0], 28 // self.rows_per_step, 28 * self.rows_per_step)
        state: Any = None
        for index, layer in enumerate(self.layers):
            sequence, state = _run(layer, self.dropout(sequence) if index else sequence)
        last = state[0] if isinstance(state, tuple) else state  # (directions, batch, hidden)
        return self.dropout(last.transpose(0, 1).flatten(1))


def _run(layer: nn.Module, sequence: Float[Tensor, "batch steps size"]) -> Any:
    """A recurrent layer's output and state, in fp32 if it has no kernel for autocast's format."""
    device = sequence.device.type
    if device not in ("cpu", "cuda") or not torch.is_autocast_enabled(device):
        return layer(sequence)
    if recurrent_dtype(str(layer.mode), torch.get_autocast_dtype(device), device) != torch.float32:
        return layer(sequence)
    with torch.autocast(device, enabled=False):
        return layer(sequence.float())
