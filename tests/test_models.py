"""Every registered model, by what the interface promises; new models are tested without touching this file."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from fmnist_zoo import create_model, fit, list_models
from fmnist_zoo.checkpoint import load_checkpoint, save_checkpoint
from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale
from fmnist_zoo.evaluation import Predictor
from fmnist_zoo.flops import count_flops
from fmnist_zoo.models.base import Classifier
from fmnist_zoo.recipe import Budget, Recipe
from fmnist_zoo.registry import FAMILIES, get_spec
from fmnist_zoo.timm_adapter import fit_to
from fmnist_zoo.training.fit import to_device

TIMM = ("timm/resnet18", "timm/vit_tiny_patch16_224", "timm/mixer_b16_224", "timm/mobilenetv3_small_050")

# Published sizes of the tutorial nets, and hand counts of the five families: layers that change by mistake show here.
NUM_PARAMS = {
    "tutorial_mlp_128_64": 109_386,
    "tutorial_mlp_512_512": 669_706,
    "tutorial_mlp_256": 203_530,
    "tutorial_mlp_512_128": 468_874,
    "tutorial_mlp_log_softmax": 109_386,
    "tutorial_unet": 9 * 64 + 64 + 64 * 64 * 4 + 64 + 65 + 490 + 10,
}


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture(params=list_models())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_logits_are_finite_and_of_the_promised_shape(name: str) -> None:
    model = create_model(name).train()
    logits = model(torch.randn(4, 1, 28, 28))
    assert logits.shape == (4, 10)
    loss = functional.cross_entropy(logits, torch.arange(4))
    assert torch.isfinite(loss)


def test_one_image_at_a_time_gives_what_a_batch_gives(name: str) -> None:
    model = create_model(name).eval()
    images = torch.randn(3, 1, 28, 28)
    with torch.inference_mode():
        together = model(images)
        alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


def test_timm_conventions(name: str) -> None:
    model = create_model(name).eval()
    assert isinstance(model, Classifier) and model.num_classes == 10
    images = torch.randn(2, 1, 28, 28)
    with torch.inference_mode():
        features = model.forward_head(model.forward_features(images), pre_logits=True)
        assert features.shape == (2, model.num_features)
        torch.testing.assert_close(model.forward_head(model.forward_features(images)), model(images))
    model.reset_classifier(7)
    assert model(images).shape == (2, 7)
    assert isinstance(model.get_classifier(), nn.Linear)
    model.reset_classifier(0)
    torch.testing.assert_close(model.forward_features(images), features.clone())


def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = create_model(name).train()
    functional.cross_entropy(model(torch.randn(8, 1, 28, 28)), torch.arange(8)).backward()
    without = [key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not without


def test_same_logits_after_saving_and_loading(name: str, tmp_path: Path) -> None:
    model = create_model(name).eval()
    save_checkpoint(
        tmp_path, model, name=name, options={}, input_scaling="standardize", mean=0.3, std=0.4,
        class_names=tuple("abcdefghij"),
    )  # fmt: skip
    loaded = load_checkpoint(tmp_path)
    images = torch.randint(0, 256, (5, 1, 28, 28), dtype=torch.uint8)
    scale = PixelScale("standardize", mean=0.3, std=0.4)
    before, after = Predictor(model, scale=scale)(images), Predictor(loaded.model, scale=loaded.scale)(images)
    assert torch.equal(before, after)
    assert loaded.config["class_names"] == list("abcdefghij")


def test_the_registry_says_what_a_model_is(name: str) -> None:
    spec = get_spec(name)
    assert spec.summary and spec.reference and spec.family
    assert ("tutorials" in spec.tags) == (spec.published is not None)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_five_are_small(family: str) -> None:
    assert count(create_model(family)) < 1_500_000


@pytest.mark.parametrize(("name", "expected"), NUM_PARAMS.items())
def test_tutorial_nets_are_exact_to_the_layer(name: str, expected: int) -> None:
    assert count(create_model(name)) == expected


def test_what_the_tutorials_put_last() -> None:
    images = torch.randn(16, 1, 28, 28)
    assert (create_model("tutorial_mlp_512_512")(images) >= 0).all()
    sums = create_model("tutorial_mlp_log_softmax")(images).exp().sum(1)
    torch.testing.assert_close(sums, torch.ones(16))


@pytest.mark.parametrize("family", FAMILIES)
def test_sixty_four_images_are_learnt_by_heart(family: str, small: Dataset) -> None:
    few = dataclasses.replace(small, train=small.train.select(torch.arange(64)))
    recipe = Recipe(budget=Budget("epochs", 40), batch_size=32, lr=5e-3, weight_decay=0.0)
    torch.manual_seed(0)
    model = create_model(family)
    result = fit(model, few, recipe=recipe, device="cpu")
    logits = Predictor(model, scale=result.scale)(few.train.images)
    assert (logits.argmax(1) == few.train.labels).all()


def test_the_unet_head_sees_every_scale() -> None:
    """What makes it U-Net's: each scale's features reach the classifier, and finer ones are no coarser than 14 x 14."""
    model = create_model("unet_encoder", widths="8-16-32").eval()
    images = torch.randn(2, 1, 28, 28)
    maps = model.forward_scales(images)  # type: ignore[operator]
    assert [tuple(each.shape[1:]) for each in maps] == [(8, 14, 14), (16, 7, 7), (32, 3, 3)]
    pooled = torch.cat([each.mean((2, 3)) for each in maps], dim=1)
    torch.testing.assert_close(model.forward_features(images), pooled)  # type: ignore[operator]


@pytest.mark.parametrize("rows", [1, 2, 4, 28])
def test_rows_are_read_in_order(rows: int) -> None:
    """A recurrent model's last state depends on the last row most recently: permuting rows changes the logits."""
    model = create_model("lstm", rows_per_step=rows, hidden=16).eval()
    images = torch.randn(2, 1, 28, 28)
    seen = []
    model.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))  # type: ignore[index]
    model(images)
    assert seen[0].shape == (2, 28 // rows, 28 * rows)
    assert torch.equal(seen[0].reshape(2, 28, 28), images[:, 0])


def test_a_plain_patch_is_a_token() -> None:
    """Token 5 is a linear map of the second patch of the second row, and of nothing else."""
    model = create_model("vit", dim=32, heads=2).eval()
    seen = []
    model.blocks.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    images = torch.randn(1, 1, 28, 28).repeat(2, 1, 1, 1)
    images[1, 0, 7:14, 7:14] += 1
    model(images)
    changed = (seen[0][0] != seen[0][1]).any(1)
    assert seen[0].shape == (2, 16, 32) and changed.nonzero().flatten().tolist() == [5]


def test_the_conv_stem_gives_sixteen_overlapping_tokens() -> None:
    model = create_model("transformer", dim=32, heads=2).eval()
    seen = []
    model.blocks.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))  # type: ignore[union-attr]
    images = torch.randn(1, 1, 28, 28).repeat(2, 1, 1, 1)
    images[1, 0, 12, 12] += 1  # within 7 pixels of the centres 8 and 16, both ways
    model(images)
    changed = (seen[0][0] != seen[0][1]).any(1)
    assert seen[0].shape == (2, 16, 32) and changed.nonzero().flatten().tolist() == [5, 6, 9, 10]


@pytest.mark.parametrize("name", TIMM)
def test_timm_models_are_built_for_small_grey_images(name: str) -> None:
    model = create_model(name)
    assert isinstance(model, Classifier)
    logits = model.train()(torch.randn(4, 1, 28, 28))
    assert logits.shape == (4, 10) and torch.isfinite(logits).all()
    assert next(iter(to_device(model, torch.device("cpu")).parameters())).shape[1] == 1 or "vit" in name


def test_timm_options_are_passed_on_and_unknown_ones_refused() -> None:
    model = create_model("timm/resnet18", drop_rate="0.25")
    assert model.body.drop_rate == 0.25  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="nonsense"):
        create_model("timm/resnet18", nonsense=1)


def test_padding_adds_background_and_keeps_the_image() -> None:
    images = torch.full((1, 1, 28, 28), -0.8)
    images[0, 0, 10:20, 10:20] = 2.0
    padded = fit_to(images, 32)
    assert padded.shape == (1, 1, 32, 32)
    assert torch.equal(padded[:, :, 2:30, 2:30], images)
    assert (padded[0, 0, 0] == -0.8).all()
    assert fit_to(images, 224).shape == (1, 1, 224, 224)


def lstm_macs(inputs: int, hidden: int, steps: int) -> int:
    return steps * 4 * hidden * (inputs + hidden)


# Multiply-accumulates of one forward pass by hand, from the layers as documented.
MACS = {
    ("tutorial_mlp_128_64", ()): 784 * 128 + 128 * 64 + 64 * 10,
    ("mlp", (("hidden", "100-50"),)): 784 * 100 + 100 * 50 + 50 * 10,
    ("cnn", (("widths", "8-16"), ("depth", "1-2"))): 14 * 14 * 9 * 8 + 7 * 7 * 9 * (8 * 16 + 16 * 16) + 16 * 10,
    ("unet_encoder", (("widths", "8-16"),)): 14 * 14 * 9 * (8 + 64) + 7 * 7 * 9 * (8 * 16 + 256) + 24 * 10,
    ("lstm", (("hidden", "32"),)): lstm_macs(28, 32, 28) + 320,
    ("gru", (("hidden", "32"),)): lstm_macs(28, 32, 28) * 3 // 4 + 320,
    ("vit", (("dim", "32"), ("depth", "1"), ("heads", "2"))): 16 * 49 * 32
    + 16 * 32 * 32 * (3 + 1 + 2 * 2)
    + 2 * 16 * 16 * 32
    + 320,
}


@pytest.mark.parametrize(("model", "macs"), MACS.items(), ids=[name for name, _ in MACS])
def test_flops_are_those_counted_by_hand(model: tuple[str, tuple[tuple[str, str], ...]], macs: int) -> None:
    name, options = model
    counted = count_flops(create_model(name, **dict(options)))
    assert counted.forward_flops == pytest.approx(2 * macs, rel=0.01)
    # Backward is twice forward, less the gradient of the images, which nobody asks for.
    assert 2 * counted.forward_flops < counted.training_flops <= 3 * counted.forward_flops


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "model.json").unlink(), "model.json"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"\x80\x04pickle"), "no readable checkpoint"),
        (lambda folder: (folder / "model.json").write_text("{"), "no readable checkpoint"),
        (
            lambda folder: (folder / "model.json").write_text(
                json.dumps({**json.loads((folder / "model.json").read_text()), "options": {"hidden": "3"}})
            ),
            "no readable checkpoint",
        ),
        (
            lambda folder: (folder / "model.json").write_text(
                json.dumps({**json.loads((folder / "model.json").read_text()), "format": 99})
            ),
            "has format 99",
        ),
    ],
)
def test_damaged_checkpoints_are_refused(damage: object, reason: str, tmp_path: Path) -> None:
    save_checkpoint(
        tmp_path,
        create_model("mlp", hidden=(8,)),
        name="mlp",
        options={"hidden": "8"},
        input_scaling="unit",
        mean=0.3,
        std=0.4,
        class_names=("a",),
    )
    assert callable(damage)
    damage(tmp_path)
    with pytest.raises(ValueError, match=reason):
        load_checkpoint(tmp_path)
