"""A whole training step compiled as one function: forward, backward, Adam, averaging.

On small nets a step's arithmetic takes less time than the overhead of Python, autograd and the optimizer. Parts
compiled separately keep that overhead; traced as one, they become a single generated program (inductor's C++ wrapper).
Autograd's engine and torch's optimizers can't be traced, hence `torch.autograd.grad` and Adam written out on the
optimizer's state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fmnist_zoo.recipe import Precision, Recipe
from fmnist_zoo.training.averaging import WeightAverage


def can_be_whole(model: nn.Module, recipe: Recipe, precision: Precision, device: torch.device) -> bool:
    """Whether a step can be traced as a whole.

    Needs a CPU, Adam or AdamW, no loss scaling, no recurrent layers (which break the trace), and a torch that can trace
    autograd.
    """
    return (
        device.type == "cpu"
        and recipe.optimizer in ("adam", "adamw")
        and precision != "fp16"
        and not any(isinstance(module, nn.RNNBase) for module in model.modules())
        and hasattr(torch._dynamo.config, "trace_autograd_ops")
    )


class AdamState:
    """Adam's state as plain lists of tensors, shared with the optimizer.

    Args:
        optimizer: Adam or AdamW after its first step.
        parameters: in the order of their gradients.
        decoupled: AdamW's weight decay instead of Adam's.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Sequence[Tensor], *, decoupled: bool) -> None:
        decay_of = {id(member): group["weight_decay"] for group in optimizer.param_groups for member in group["params"]}
        states = [optimizer.state[parameter] for parameter in parameters]
        self.parameters = list(parameters)
        self.decays: list[float] = [decay_of[id(parameter)] for parameter in parameters]
        self.steps: list[Tensor] = [state["step"] for state in states]
        self.averages: list[Tensor] = [state["exp_avg"] for state in states]
        self.squares: list[Tensor] = [state["exp_avg_sq"] for state in states]
        self.betas: tuple[float, float] = optimizer.param_groups[0]["betas"]
        self.eps: float = optimizer.param_groups[0]["eps"]
        self.decoupled = decoupled

    def update(self, gradients: Sequence[Tensor], lr: Tensor) -> None:
        """One step, in place (Kingma & Ba, 2015, arXiv:1412.6980; Loshchilov & Hutter, 2019, arXiv:1711.05101)."""
        beta1, beta2 = self.betas
        torch._foreach_add_(self.steps, 1)
        rate = lr / (1 - beta1 ** self.steps[0])
        unbias = (1 - beta2 ** self.steps[0]).sqrt()
        rows = zip(self.parameters, gradients, self.decays, self.averages, self.squares, strict=True)
        for parameter, pure, decay, average, square in rows:
            if self.decoupled:
                parameter.mul_(1 - lr * decay)
            gradient = pure if self.decoupled else pure + decay * parameter
            average.lerp_(gradient, 1 - beta1)
            square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            parameter.sub_(rate * average / (square.sqrt() / unbias + self.eps))


def compiled_whole(
    loss_of: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    *,
    weights: Sequence[Tensor],
    adam: AdamState,
    clip_grad_norm: float | None,
    average: WeightAverage | None,
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The step as one compiled function: images, labels and learning rate `()` in, logits out.

    Args:
        loss_of: images and labels to loss and logits.
        weights: used by the loss: Adam's parameters, or their bf16 copies in the same order.
        adam: the parameters and their state.
        clip_grad_norm: largest norm of the whole gradient.
        average: of weights, updated at the end.
    """

    def whole(images: Tensor, labels: Tensor, lr: Tensor) -> Tensor:
        loss, logits = loss_of(images, labels)
        gradients = [
            gradient.to(parameter.dtype)
            for gradient, parameter in zip(torch.autograd.grad(loss, weights), adam.parameters, strict=True)
        ]
        with torch.no_grad():
            if clip_grad_norm is not None:
                norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
                scale = (clip_grad_norm / (norm + 1e-6)).clamp_max(1.0)
                gradients = [gradient * scale for gradient in gradients]
            adam.update(gradients, lr)
            if weights[0] is not adam.parameters[0]:
                for weight, parameter in zip(weights, adam.parameters, strict=True):
                    weight.copy_(parameter)
            if average is not None:
                average.update()
        return logits.detach()

    torch._dynamo.config.trace_autograd_ops = True  # type: ignore[attr-defined]
    return torch.compile(whole, dynamic=False, fullgraph=True, options={"cpp_wrapper": True})
