"""The comparison with the usual loop: same data, same start, fair turns."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.peers.__main__ import interleave, table
from benchmarks.peers.arms import fmnist_zoo, torchvision_dataset, tutorial_loop
from fmnist_zoo import create_model
from fmnist_zoo.data import Dataset
from fmnist_zoo.models.tutorials import ADAM
from fmnist_zoo.recipe import Budget


def test_torchvision_reads_the_very_images(small: Dataset) -> None:
    with torchvision_dataset(small.train) as theirs:
        assert len(theirs) == len(small.train)
        image, label = theirs[7]
    assert image.dtype == torch.float32 and label == small.train.labels[7]
    assert torch.equal((image * 255).round().to(torch.uint8), small.train.images[7])


def test_both_loops_descend_alike_from_the_same_weights(small: Dataset) -> None:
    torch.manual_seed(0)
    initial = create_model("tutorial_mlp_128_64")
    theirs = list(tutorial_loop(copy.deepcopy(initial), small, 64, 3, num_workers=0))
    ours = list(fmnist_zoo(copy.deepcopy(initial), small, replace(ADAM, budget=Budget("epochs", 3))))
    assert len(theirs) == len(ours) == 3
    assert theirs == sorted(theirs, reverse=True)
    assert ours == pytest.approx(theirs, abs=0.12)


def test_the_arms_take_turns_until_they_end() -> None:
    order = []

    def arm(name: str) -> Iterator[float]:
        for epoch in range(3):
            order.append(name)
            yield float(epoch)

    found = interleave({"a": arm("a"), "b": arm("b")})
    assert order == ["a", "b"] * 3
    assert [loss for loss, _ in found["b"]] == [0.0, 1.0, 2.0]


def test_the_table_says_what_was_compared() -> None:
    def arm(epoch_s: list[float], speed: float) -> dict[str, Any]:
        return {"train_loss": [0.5, 0.4], "epoch_s": epoch_s, "train_img_per_s": speed, "test_top1_pct": 87.0}

    found = {
        "model": "m",
        "epochs": 2,
        "batch_size": 64,
        "num_workers": 2,
        "num_train": 60000,
        "hardware": {"cpu_model": "CPU", "physical_cores": 2, "gpu_name": None},
        "software": {"python": "3.11", "torch": "2.15", "torchvision": "0.30"},
        "arms": {"tutorial loop": arm([6.0, 5.0], 11000.0), "fmnist_zoo": arm([1.0, 1.0], 60000.0)},
    }
    text = table(found)
    assert "5.5 times as fast" in text and "5.0 to 6.0" in text and "11,000" in text and "torch 2.15" in text


def test_idx_files_are_those_that_the_parser_of_this_package_reads(tmp_path: Path) -> None:
    import numpy as np

    from benchmarks.peers.arms import write_idx
    from fmnist_zoo.data.idx import parse_idx

    values = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "x", values)
    assert np.array_equal(parse_idx((tmp_path / "x").read_bytes(), (2, 3, 4), path="x"), values)
