"""A small vision transformer: patches as tokens, pre-norm encoder blocks, mean over tokens."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmnist_zoo.models.base import Classifier
from fmnist_zoo.models.layers import Activation, check_positive, check_probability, conv_norm_act, make_activation
from fmnist_zoo.recipe import Recipe
from fmnist_zoo.registry import register_model


class Attention(nn.Module):
    """Multi-head self-attention on `scaled_dot_product_attention` (Vaswani et al., 2017, arXiv:1706.03762)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        batch, length, dim = tokens.shape
        qkv = self.qkv(tokens).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, tokens, dim of a head)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, length, dim))


class Block(nn.Module):
    """Pre-norm encoder block: attention, then a two-layer perceptron, each added to its input."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, activation: Activation, dropout: float) -> None:
        super().__init__()
        width = int(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, width), make_activation(activation), nn.Linear(width, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Float[Tensor, "batch tokens dim"]) -> Float[Tensor, "batch tokens dim"]:
        tokens = tokens + self.dropout(self.attention(self.norm1(tokens)))
        return tokens + self.dropout(self.mlp(self.norm2(tokens)))


@register_model(
    "transformer",
    family="transformer",
    summary="vision transformer on 16 overlapping patch tokens from a convolutional stem",
    reference="Dosovitskiy et al., 2021, arXiv:2010.11929; convolutional stem: Xiao et al., 2021, arXiv:2106.14881; "
    "small and for small data: Hassani et al., 2021, arXiv:2104.05704",
    recipe=Recipe(optimizer="muon", lr=5e-3, weight_decay=0.3),
    tuned={"adamw": {"lr": 2e-3, "weight_decay": 0.05}, "muon": {"lr": 7.7e-3, "weight_decay": 0.14}},
)
@register_model(
    "vit",
    family="transformer",
    summary="vision transformer on 16 plain 7x7 patches",
    reference="Dosovitskiy et al., 2021, arXiv:2010.11929",
    defaults={"stem": "patch"},
)
class Transformer(Classifier):
    """Patches become tokens with position embeddings; encoder blocks mix them, and their mean is classified.

    With a `conv` stem the tokens are overlapping patches: three 3x3 convolutions of stride 2 (to 32, 64 and `dim`
    channels) end in a 4x4 map of tokens, each of which sees 15x15 pixels. With a `patch` stem they are disjoint
    squares mapped linearly, as in the original, which takes far more training to learn what a convolution has built in.

    Args:
        stem: `conv` or `patch`.
        patch: side of a `patch` stem's patches in pixels, a divisor of 28.
        dim: width of a token.
        depth: encoder blocks.
        heads: attention heads, a divisor of `dim`.
        mlp_ratio: width of a block's perceptron over `dim`.
        activation: in the perceptron.
        dropout: on what each block adds to its input.
        num_classes: logits.
    """

    def __init__(
        self,
        *,
        stem: Literal["conv", "patch"] = "conv",
        patch: int = 7,
        dim: int = 128,
        depth: int = 2,
        heads: int = 4,
        mlp_ratio: float = 2.0,
        activation: Activation = "gelu",
        dropout: float = 0.0,
        num_classes: int = 10,
    ) -> None:
        super().__init__()
        check_positive(patch=patch, dim=dim, depth=depth, heads=heads)
        check_probability(dropout=dropout)
        if 28 % patch:
            raise ValueError(f"patch={patch} must divide 28: use 1, 2, 4, 7, 14 or 28")
        if dim % heads:
            raise ValueError(f"heads={heads} must divide dim={dim}")
        if int(dim * mlp_ratio) < 1:
            raise ValueError(f"mlp_ratio={mlp_ratio} leaves no hidden unit in the perceptron; use at least {1 / dim:g}")
        self.embed = _conv_stem(dim) if stem == "conv" else nn.Conv2d(1, dim, patch, stride=patch)
        side = 4 if stem == "conv" else 28 // patch
        self.position = nn.Parameter(torch.randn(1, side * side, dim) * 0.02)
        self.blocks = nn.Sequential(*(Block(dim, heads, mlp_ratio, activation, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.num_features = dim
        self.reset_classifier(num_classes)

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch features"]:
        tokens = self.embed(images).flatten(2).transpose(1, 2)  # (batch, tokens, dim)
        return self.norm(self.blocks(tokens + self.position)).mean(1)


def _conv_stem(dim: int) -> nn.Sequential:
    """Images `(batch, 1, 28, 28)` to tokens `(batch, dim, 4, 4)`."""
    return nn.Sequential(
        conv_norm_act(1, 32, stride=2, norm="batch", activation="relu"),
        conv_norm_act(32, 64, stride=2, norm="batch", activation="relu"),
        nn.Conv2d(64, dim, 3, stride=2, padding=1),
    )
