"""A model that torch can train in fp32 alone, as some of other people's are."""

import torch
from torch import nn


class Fp32Only(nn.Module):
    """Has an operation that torch lacks in any other format."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.layer(images.flatten(1))
        if logits.dtype != torch.float32:
            raise RuntimeError('"cells" not implemented for this format')
        return logits
