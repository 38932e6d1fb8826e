"""What training asks of a model: its trainable parameters, a copy of it, and whether loss and compiler suit it."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from fmnist_zoo.recipe import Recipe


def trainable(model: nn.Module) -> list[Tensor]:
    """The parameters that training updates, in the order of the model."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def copied(model: nn.Module) -> nn.Module:
    """A copy on the same device; moving it there lays cuDNN's recurrent weights out in one piece again."""
    return copy.deepcopy(model).to(next(model.parameters()).device)


def check_loss(model: nn.Module, recipe: Recipe) -> None:
    """ValueError where the loss doesn't fit what the model puts out: NLL needs log-probabilities, not raw logits."""
    if recipe.loss == "nll" and not getattr(model, "log_probabilities", False):
        raise ValueError(
            "loss nll needs a model that ends in log-softmax, and this one gives raw logits; use cross_entropy"
        )


def worth_compiling(model: nn.Module) -> bool:
    """Whether the compiler should see a captured step's model: not a recurrent one.

    The compiler would break at its layers, or unroll them, in place of cuDNN's kernels for the whole sequence.
    """
    return not any(isinstance(module, nn.RNNBase) for module in model.modules())
