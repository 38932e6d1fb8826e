"""Any timm model as a classifier of 1 x 28 x 28 images: `timm/NAME`."""

from __future__ import annotations

import functools
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from fmnist_zoo.models.base import Classifier
from fmnist_zoo.spec import ModelSpec, nearest

PADDED = 32
"""28 pixels are padded to this side: most nets halve the resolution five times."""


class TimmClassifier(Classifier):
    """A timm model behind an adapter that pads or resizes `(batch, 1, 28, 28)` on the device.

    Images are padded with background to 32 x 32 if the model takes that size (by default or with `img_size`), else
    resized bilinearly to the model's own size.

    Args:
        name: timm's name of the model, optionally with tag.
        num_classes: logits.
        **options: for `timm.create_model`.

    Raises:
        ValueError: unknown model, refused option, or the model takes neither size.
    """

    def __init__(self, name: str, *, num_classes: int = 10, **options: Any) -> None:
        super().__init__()
        self.body, self.side = _build(name, num_classes, options)
        self.num_features: int = self.body.num_features
        self.num_classes = num_classes

    def reset_classifier(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.body.reset_classifier(num_classes)

    def get_classifier(self) -> nn.Module:
        return self.body.get_classifier()

    def forward_features(self, images: Float[Tensor, "batch 1 28 28"]) -> Tensor:
        """The timm model's feature map or tokens; shape depends on the model."""
        return self.body.forward_features(fit_to(images, self.side))

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        return self.body.forward_head(features, pre_logits=pre_logits)

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch out"]:
        return self.body(fit_to(images, self.side))


def fit_to(images: Float[Tensor, "batch 1 28 28"], side: int) -> Float[Tensor, "batch 1 side side"]:
    """Images padded to 32 with background, whatever the scaling, or resized to `side`."""
    if side != PADDED:
        return functional.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
    margin = (PADDED - 28) // 2
    # "Replicate" repeats the border, which is background in almost all images, at any pixel scale.
    return functional.pad(images, [margin] * 4, mode="replicate")


def timm_spec(name: str) -> ModelSpec:
    """Specification of `timm/NAME`; ValueError suggesting the closest name if unknown to timm."""
    import timm

    timm_name = name.removeprefix("timm/")
    if not timm.is_model(timm_name):
        raise ValueError(f"timm has no model {timm_name!r}{nearest(timm_name, timm.list_models())}")
    return ModelSpec(
        name=name,
        family="timm",
        summary=f"timm's {timm_name}",
        reference=f"timm {timm.__version__}, {timm_name}",
        build=functools.partial(TimmClassifier, timm_name),
    )


def _made_for(body: Any) -> int:
    """Input side of a timm model, in pixels."""
    return int(body.pretrained_cfg["input_size"][-1])


def _build(name: str, num_classes: int, options: dict[str, Any]) -> tuple[Any, int]:
    """The timm model and its input side: the first of three ways that gives logits."""
    import timm

    if refused := {"pretrained", "in_chans", "num_classes", "pretrained_cfg", "checkpoint_path"} & set(options):
        raise ValueError(
            f"timm/{name}: {', '.join(sorted(refused))} can't be set: models are trained from scratch here"
        )
    attempts: list[tuple[dict[str, Any], int | None]] = [({}, PADDED), ({"img_size": PADDED}, PADDED), ({}, None)]
    if "img_size" in options:
        attempts = [({}, options["img_size"])]
    refusals = []
    for extra, side in attempts:
        try:
            body = timm.create_model(name, in_chans=1, num_classes=num_classes, **options, **extra)
            fed = side or _made_for(body)
            with torch.inference_mode():
                body.eval()(torch.zeros(2, 1, fed, fed))
            return body.train(), fed
        except (RuntimeError, TypeError, ValueError, AssertionError, KeyError) as error:
            refusals.append(f"at {side} pixels{' with img_size' if extra else ''}: {error}")
    raise ValueError(f"timm/{name} can't be built for one-channel 28 x 28 images: {'; '.join(refusals)}")
