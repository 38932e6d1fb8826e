"""Trained models from anywhere: filled as they were saved, or refused by name, and never run as code."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fmnist_zoo import create_model
from fmnist_zoo.checkpoint import load_checkpoint, save_checkpoint

CLASSES = tuple("abcdefghij")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "mlp"
    model = create_model("mlp", hidden=(8,))
    save_checkpoint(
        folder, model, name="mlp", options={"hidden": "8"}, input_scaling="unit", mean=0.3, std=0.4, class_names=CLASSES
    )
    return folder


def changed(saved: Path, folder: Path, *, config: bytes | None = None, weights: bytes | None = None) -> Path:
    """A copy of a checkpoint with other bytes in one of its files."""
    (folder / "model.json").write_bytes((saved / "model.json").read_bytes() if config is None else config)
    whole = (saved / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(whole if weights is None else weights)
    return folder


def test_a_model_comes_back_as_it_was_saved(saved: Path) -> None:
    first, second = load_checkpoint(saved), load_checkpoint(saved)
    images = torch.rand(3, 1, 28, 28)
    assert torch.equal(first.model(images), second.model(images))
    assert first.config["class_names"] == list(CLASSES)
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "weights.safetensors"]


CONFIGS: dict[str, tuple[Any, str]] = {
    "another format": ({"format": 2}, "has format 2, this version reads 1"),
    "no format": ({"format": ...}, "has format None"),
    "a model that is no name": ({"model": 7}, "invalid fields: model"),
    "an unknown model": ({"model": "os.system"}, "unknown model 'os.system'"),
    "a path for a model": ({"model": "../../x.py"}, "unknown model"),
    "a model from the hub": ({"model": "timm/hf-hub:someone/x"}, "timm has no model"),
    "weights from elsewhere": ({"model": "timm/resnet10t", "options": {"checkpoint_path": "x.bin"}}, "can't be set"),
    "weights from the network": ({"model": "timm/resnet10t", "options": {"pretrained": True}}, "can't be set"),
    "options that are none": ({"options": [1]}, "invalid fields: options"),
    "an option of another model": ({"options": {"widths": "8"}}, "has no option 'widths'"),
    "a layer beyond all memory": ({"options": {"hidden": [10**30]}}, "Overflow"),
    "another shape": ({"options": {"hidden": "9"}}, "size mismatch"),
    "another scaling": ({"input_scaling": "x"}, "invalid fields: input_scaling"),
    "no deviation": ({"std": 0.0}, "invalid fields: std"),
    "a mean that is none": ({"mean": float("nan")}, "invalid fields: mean"),
    "no names": ({"class_names": []}, "invalid fields: class_names"),
    "too few names": ({"class_names": ["a"]}, "lists 1 classes, the model has 10"),
}


@pytest.mark.parametrize("fault", CONFIGS)
def test_a_configuration_that_makes_no_sense_is_refused(saved: Path, tmp_path: Path, fault: str) -> None:
    changes, reason = CONFIGS[fault]
    config = json.loads((saved / "model.json").read_text()) | changes
    content = json.dumps({name: value for name, value in config.items() if value is not ...}).encode()
    with pytest.raises(ValueError, match=f"{tmp_path} holds no readable checkpoint .*{reason}"):
        load_checkpoint(changed(saved, tmp_path, config=content))


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
@pytest.mark.parametrize("kind", ["missing", "a pipe", "a folder", "empty", "nested", "half"])
def test_a_file_of_any_kind_is_refused_and_not_waited_for(saved: Path, tmp_path: Path, name: str, kind: str) -> None:
    path = changed(saved, tmp_path) / name
    whole = path.read_bytes()
    path.unlink()
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes({"empty": b"", "nested": b"[" * 100_000, "half": whole[: len(whole) // 2]}[kind])
    with pytest.raises(ValueError, match="holds no readable checkpoint"):
        load_checkpoint(tmp_path)


SCALARS = st.none() | st.booleans() | st.integers(-100, 100) | st.floats() | st.text(max_size=5)
VALUES = st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(), SCALARS, max_size=2) | SCALARS


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_change_gives_a_model_that_works_or_an_error_of_ours(
    saved: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    config, weights = (saved / "model.json").read_bytes(), (saved / "weights.safetensors").read_bytes()
    how = data.draw(st.sampled_from(["a field", "bytes of the configuration", "header of the weights", "cut"]))
    if how == "a field":
        content = json.loads(config)
        content[data.draw(st.sampled_from(sorted(content)))] = data.draw(VALUES)
        config = json.dumps(content).encode()
    elif how == "cut":
        weights = weights[: data.draw(st.integers(0, len(weights) - 1))]
    else:
        raw = bytearray(config if how == "bytes of the configuration" else weights)
        raw[data.draw(st.integers(0, min(len(raw), 400) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        config, weights = (bytes(raw), weights) if how == "bytes of the configuration" else (config, bytes(raw))
    folder = changed(saved, tmp_path_factory.mktemp("changed"), config=config, weights=weights)
    try:
        checkpoint = load_checkpoint(folder)
    except ValueError:
        return
    logits = checkpoint.model(checkpoint.scale(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)))
    assert logits.shape == (2, len(checkpoint.config["class_names"]))
