"""VGG-style convolutional network: 3x3 convolutions, each stage at half the resolution with more channels."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from fmnist_zoo.models.base import Classifier
from fmnist_zoo.models.layers import Activation, Norm, check_positive, check_probability, conv_norm_act
from fmnist_zoo.recipe import Augmentation, Recipe
from fmnist_zoo.registry import register_model


@register_model(
    "cnn",
    family="cnn",
    summary="VGG-style 3x3 convolutions, strided instead of pooled",
    reference="Simonyan & Zisserman, 2015, arXiv:1409.1556; strided convolutions in place of pooling: Springenberg et "
    "al., 2015, arXiv:1412.6806",
    recipe=Recipe(optimizer="muon", lr=1e-2, label_smoothing=0.1, augmentation=Augmentation(shift=1, flip=True)),
    tuned={"adamw": {"lr": 16e-3, "weight_decay": 0.2}, "muon": {"lr": 6.3e-3, "weight_decay": 0.44}},
)
@register_model(
    "cnn_s",
    family="cnn",
    summary="`cnn` with one convolution less, for training within seconds",
    reference="as cnn",
    defaults={"depth": (1, 1, 2)},
    recipe=Recipe(optimizer="muon", lr=1e-2, weight_decay=0.3, label_smoothing=0.1),
)
class CNN(Classifier):
    """Stages of 3x3 convolutions; each stage opens with stride 2, then global average pooling and a linear classifier.

    Resolution goes 28 -> 14 -> 7 -> 4: the stem already halves it, since a stage costs four times as much at full
    resolution.

    Args:
        widths: channels of each stage; up to 4 stages.
        depth: convolutions per stage, including the opening one.
        activation: after each convolution.
        norm: `batch`, `layer` (group norm with one group) or `none`.
        dropout: before the classifier.
        num_classes: logits.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (32, 64, 128),
        depth: tuple[int, ...] = (1, 2, 2),
        activation: Activation = "relu",
        norm: Norm = "batch",
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        check_positive(widths=widths, depth=depth)
        check_probability(dropout=dropout)
        if len(widths) > 4:
            raise ValueError(
                f"widths={'-'.join(map(str, widths))} has {len(widths)} stages; use at most 4: 28 pixels halve 4 times"
            )
        if len(depth) != len(widths):
            raise ValueError(f"depth has {len(depth)} entries, widths {len(widths)}; give one of each per stage")
        layers: list[nn.Module] = []
        channels = 1
        for width, convolutions in zip(widths, depth, strict=True):
            for index in range(convolutions):
                layers.append(
                    conv_norm_act(channels, width, stride=1 if index else 2, norm=norm, activation=activation)
                )
                channels = width
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.num_features = channels
        self.reset_classifier(num_classes)

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        return self.dropout(self.stages(images).mean((2, 3)))
