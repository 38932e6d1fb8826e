"""A model's trainable parameters, copies, and compatibility with loss and compiler."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from fmnist_zoo.recipe import Recipe


def trainable(model: nn.Module) -> list[Tensor]:
    """Trainable parameters, in the order of the model."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def copied(model: nn.Module) -> nn.Module:
    """A copy on the same device; moving it there makes cuDNN's recurrent weights contiguous again."""
    return copy.deepcopy(model).to(next(model.parameters()).device)


def check_loss(model: nn.Module, recipe: Recipe) -> None:
    """Raise ValueError if the loss doesn't suit the model's output: NLL needs log-probabilities, not raw logits."""
    if recipe.loss == "nll" and not getattr(model, "log_probabilities", False):
        raise ValueError(
            "loss nll needs a model that ends in log-softmax, and this one gives raw logits; use cross_entropy"
        )


def worth_compiling(model: nn.Module) -> bool:
    """Whether to compile a captured step's model: not a recurrent one.

    The compiler would break the graph at its layers or unroll them, instead of cuDNN's kernels for the whole sequence.
    """
    return not any(isinstance(module, nn.RNNBase) for module in model.modules())
