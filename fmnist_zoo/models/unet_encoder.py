"""The contracting path of U-Net as a classifier, with the features of every scale in its head."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fmnist_zoo.models.base import Classifier
from fmnist_zoo.models.layers import Activation, Norm, check_positive, check_probability, conv_norm_act
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import register_model


@register_model(
    "unet_encoder",
    family="unet_encoder",
    summary="U-Net's contracting path, all scales feed the head",
    reference="Ronneberger, Fischer & Brox, 2015, U-Net, arXiv:1505.04597",
    recipe=Recipe(optimizer="muon", lr=1e-2, weight_decay=0.05, label_smoothing=0.1),
    tuned={"adamw": {"lr": 8e-3, "weight_decay": 0.05}, "muon": {"lr": 22e-3, "weight_decay": 0.036}},
)
class UNetEncoder(Classifier):
    """Double convolutions at each scale with 2x2 max-pooling between them, as in the contracting path of U-Net.

    U-Net passes the features of each scale to its decoder through skip connections; here they go to the head, averaged
    over the image and concatenated, so coarse and fine features are classified together.

    Args:
        widths: channels at each scale, finest first; U-Net doubles them from scale to scale.
        stem_stride: stride of the first convolution: 2 starts at 14x14, 1 at full resolution.
        activation: after each convolution.
        norm: `batch`, `layer` (group norm with one group) or `none`, as in the original.
        dropout: before the classifier.
        num_classes: logits.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, ...] = (32, 64, 128),
        stem_stride: int = 2,
        activation: Activation = "relu",
        norm: Norm = "batch",
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        check_positive(widths=widths)
        check_probability(dropout=dropout)
        if stem_stride not in (1, 2):
            raise ValueError(f"stem_stride={stem_stride} must be 1 or 2")
        if 28 // stem_stride >> (len(widths) - 1) < 1:
            raise ValueError(
                f"widths={'-'.join(map(str, widths))}: {len(widths)} scales don't fit into 28 pixels; give fewer"
            )
        channels = (1, *widths)
        self.scales = nn.ModuleList(
            nn.Sequential(
                conv_norm_act(before, width, stride=1 if index else stem_stride, norm=norm, activation=activation),
                conv_norm_act(width, width, norm=norm, activation=activation),
            )
            for index, (before, width) in enumerate(zip(channels, widths, strict=False))
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.num_features = sum(widths)
        self.reset_classifier(num_classes)

    def forward_scales(self, images: Float[Tensor, "batch 1 28 28"]) -> list[Tensor]:
        """Feature maps of every scale, finest first, as on U-Net's skip connections."""
        features: Tensor = images
        maps: list[Tensor] = []
        for index, scale in enumerate(self.scales):
            features = scale(self.pool(features) if index else features)
            maps.append(features)
        return maps

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        return self.dropout(torch.cat([features.mean((2, 3)) for features in self.forward_scales(images)], dim=1))
