"""What every classifier of this package has in common: timm's conventions for features and head."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class Classifier(nn.Module):
    """Images `(batch, 1, 28, 28)` float in, logits `(batch, num_classes)` out.

    A subclass sets `num_features` and `num_classes`, ends its `__init__` with `reset_classifier`, and writes
    `forward_features`, which returns what the last linear layer sees. A timm model has the same surface
    (https://huggingface.co/docs/timm/feature_extraction), so both kinds are used alike. Override `reset_classifier` for
    another last layer, such as one without bias.
    """

    num_features: int
    num_classes: int
    head: nn.Module

    def reset_classifier(self, num_classes: int) -> None:
        """Put a new, freshly initialised last layer in place; 0 classes for none (features come out)."""
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()

    def get_classifier(self) -> nn.Module:
        """The last layer."""
        return self.head

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        """Features `(batch, num_features)` that the last layer classifies."""
        raise NotImplementedError

    def forward_head(
        self, features: Float[Tensor, "batch features"], pre_logits: bool = False
    ) -> Float[Tensor, "batch out"]:
        """Logits of features, or the features themselves with `pre_logits`."""
        return features if pre_logits else self.head(features)

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch out"]:
        return self.forward_head(self.forward_features(images))
