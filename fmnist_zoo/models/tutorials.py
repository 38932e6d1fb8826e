"""Nets of well-known tutorials, exact to the layer, each with its tutorial's recipe.

Unspecified settings are torch's optimizer defaults, and batch 64 for 10 epochs on [0, 1] inputs; `reference` names
them.
"""

from __future__ import annotations

import itertools

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmnist_zoo.models.base import Classifier
from fmnist_zoo.recipe import Budget, Recipe
from fmnist_zoo.registry import register_model

ADAM = Recipe(
    budget=Budget("epochs", 10),
    batch_size=64,
    input_scaling="unit",
    optimizer="adam",
    lr=1e-3,
    weight_decay=0.0,
    schedule="constant",
    lr_warmup_fraction=0.0,
)
SGD = Recipe(
    budget=Budget("epochs", 5),
    batch_size=64,
    input_scaling="unit",
    optimizer="sgd",
    lr=1e-3,
    momentum=0.0,
    weight_decay=0.0,
    schedule="constant",
    lr_warmup_fraction=0.0,
)
SGD_MOMENTUM = Recipe(
    budget=Budget("epochs", 10),
    batch_size=64,
    input_scaling="symmetric",
    optimizer="sgd",
    lr=0.01,
    momentum=0.9,
    weight_decay=0.0,
    schedule="constant",
    lr_warmup_fraction=0.0,
)
ADAM_NLL = Recipe(
    budget=Budget("epochs", 15),
    batch_size=64,
    input_scaling="symmetric",
    loss="nll",
    optimizer="adam",
    lr=3e-3,
    weight_decay=0.0,
    schedule="constant",
    lr_warmup_fraction=0.0,
)


@register_model(
    "tutorial_mlp_128_64",
    family="mlp",
    summary="784-128-64-10, ReLU: the usual first net",
    reference="common Fashion-MNIST tutorials in PyTorch (Adam 1e-3, batch 64, 10 epochs)",
    defaults={"hidden": (128, 64)},
    tags=["tutorials"],
    published=ADAM,
)
@register_model(
    "tutorial_mlp_512_512",
    family="mlp",
    summary="784-512-512-10, ReLU also on the logits",
    reference="PyTorch quickstart tutorial in its first form (SGD 1e-3, batch 64, 5 epochs)",
    defaults={"hidden": (512, 512), "output": "relu"},
    tags=["tutorials"],
    published=SGD,
)
@register_model(
    "tutorial_mlp_256",
    family="mlp",
    summary="784-256-10, one hidden layer",
    reference="common first net (Adam; it gives no rate, batch size or epochs: 1e-3, 64 and 10 are ours)",
    defaults={"hidden": (256,)},
    tags=["tutorials"],
    published=ADAM,
)
@register_model(
    "tutorial_mlp_512_128",
    family="mlp",
    summary="784-512-128-10",
    reference="MNIST tutorial (SGD 0.01, momentum 0.9, batch 64, 10 epochs, inputs in [-1, 1])",
    defaults={"hidden": (512, 128)},
    tags=["tutorials"],
    published=SGD_MOMENTUM,
)
@register_model(
    "tutorial_mlp_log_softmax",
    family="mlp",
    summary="784-128-64-10 ending in log-softmax, NLL loss",
    reference="MNIST tutorial (Adam 3e-3, batch 64, 15 epochs, inputs in [-1, 1])",
    defaults={"hidden": (128, 64), "output": "log_softmax"},
    tags=["tutorials"],
    published=ADAM_NLL,
)
class TutorialMLP(Classifier):
    """Fully connected layers with ReLU between them; `output` is the tutorial's last operation.

    Args:
        hidden: widths of the hidden layers.
        output: `logits`, `relu` (on the logits) or `log_softmax`.
        num_classes: logits.
    """

    def __init__(self, *, hidden: tuple[int, ...] = (128, 64), output: str = "logits", num_classes: int = 10) -> None:
        super().__init__()
        if output not in ("logits", "relu", "log_softmax"):
            raise ValueError(f"output={output!r} must be logits, relu or log_softmax")
        widths = (28 * 28, *hidden)
        self.layers = nn.Sequential(
            *(layer for pair in itertools.pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU(inplace=True)))
        )
        self.output = output
        self.log_probabilities = output == "log_softmax"
        self.num_features = widths[-1]
        self.reset_classifier(num_classes)

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        return self.layers(images.flatten(1))

    def forward_head(
        self, features: Float[Tensor, "batch features"], pre_logits: bool = False
    ) -> Float[Tensor, "batch out"]:
        logits = super().forward_head(features, pre_logits)
        if pre_logits or self.output == "logits":
            return logits
        return functional.relu(logits) if self.output == "relu" else functional.log_softmax(logits, dim=1)


@register_model(
    "tutorial_unet",
    family="unet_encoder",
    summary="plain encoder-decoder (conv, pool, transposed conv, 1x1 conv) under a pooled linear classifier",
    reference="minimal U-Net of tutorials, without skip connections (it gives no recipe for classification: Adam 1e-3, "
    "batch 64, 10 epochs are ours)",
    tags=["tutorials"],
    published=ADAM,
)
class TutorialUNet(Classifier):
    """Encoder and decoder without skip connections, and a linear classifier on the pooled map.

    Encoder: 3x3 convolution 1-64, ReLU, 2x2 max-pooling. Decoder: 2x2 transposed convolution 64-64, ReLU, 1x1
    convolution to one map `(batch, 1, 28, 28)`. The map is averaged to 7x7 and classified by one linear layer.

    Args:
        num_classes: logits.
    """

    def __init__(self, *, num_classes: int = 10) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 64, 2, stride=2), nn.ReLU(inplace=True), nn.Conv2d(64, 1, 1)
        )
        self.pool = nn.AvgPool2d(4)
        self.num_features = 49
        self.reset_classifier(num_classes)

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        return self.pool(self.decoder(self.encoder(images))).flatten(1)
