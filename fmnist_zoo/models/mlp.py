"""Multilayer perceptron: the image as 784 numbers, fully connected layers, no notion of space."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from fmnist_zoo.models.base import Classifier
from fmnist_zoo.models.layers import Activation, Norm, check_positive, check_probability, make_activation
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import register_model


@register_model(
    "mlp",
    family="mlp",
    summary="784-256-128-10 perceptron with batch normalisation",
    reference="Rumelhart, Hinton & Williams, 1986, Learning representations by back-propagating errors; normalisation: "
    "Ioffe & Szegedy, 2015, arXiv:1502.03167",
    recipe=Recipe(optimizer="muon", batch_size=512, lr=1e-2, weight_decay=0.05),
    tuned={"adamw": {"lr": 8e-3, "weight_decay": 0.05}, "muon": {"lr": 1e-2, "weight_decay": 0.05}},
)
class MLP(Classifier):
    """Fully connected layers of widths `hidden`, then a linear classifier.

    Args:
        hidden: widths of the hidden layers.
        activation: after each hidden layer.
        norm: normalisation between each hidden layer and its activation.
        dropout: probability of zeroing a hidden activation.
        num_classes: logits.
    """

    def __init__(
        self,
        *,
        hidden: tuple[int, ...] = (256, 128),
        activation: Activation = "relu",
        norm: Norm = "batch",
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        check_positive(hidden=hidden)
        check_probability(dropout=dropout)
        layers: list[nn.Module] = []
        width = 28 * 28
        for next_width in hidden:
            layers.append(nn.Linear(width, next_width))
            if norm != "none":
                layers.append(nn.BatchNorm1d(next_width) if norm == "batch" else nn.LayerNorm(next_width))
            layers.append(make_activation(activation))
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = next_width
        self.layers = nn.Sequential(*layers)
        self.num_features = width
        self.reset_classifier(num_classes)

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        return self.layers(images.flatten(1))
