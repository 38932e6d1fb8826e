"""Common base of all classifiers here, with timm's conventions for features and head."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Classifier(nn.Module):
    """Images `(batch, 1, 28, 28)` float in, logits `(batch, num_classes)` out.

    A subclass sets `num_features` and `num_classes`, ends its `__init__` with `reset_classifier`, and implements
    `forward_features`, which returns the input of the last linear layer. timm models have the same interface
    (https://huggingface.co/docs/timm/feature_extraction). Override `reset_classifier` for another last layer, such as
    one without bias.
    """

    num_features: int
    num_classes: int
    head: nn.Module

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a freshly initialised one; 0 classes for none (outputs features)."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.head

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        """Features `(batch, num_features)`, the last layer's input."""
        raise NotImplementedError

    def forward_head(
        self, features: Float[Tensor, "batch features"], pre_logits: bool = False
    ) -> Float[Tensor, "batch out"]:
        """Logits from features; the features themselves with `pre_logits`."""
        return features if pre_logits else self.head(features)

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch out"]:
        return self.forward_head(self.forward_features(images))
