"""What a dataset is said to hold is what it holds; near-duplicates are those that a search pair by pair finds."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fmnist_zoo.cli.config import DataConfig
from fmnist_zoo.cli.data import data_text
from fmnist_zoo.data import Dataset, explore
from fmnist_zoo.data.catalog import SPECS
from fmnist_zoo.data.explore import file_checksums, near_duplicates, sample_indices, summarize
from fmnist_zoo.data.splits import Split


def dataset_of(train: torch.Tensor, test: torch.Tensor) -> Dataset:
    """Images `(n, 28, 28)` with labels 0 to 9 in turn."""
    splits = [Split(images=images.unsqueeze(1), labels=torch.arange(len(images)) % 10) for images in (train, test)]
    return Dataset(
        name="fashion_mnist",
        train=splits[0],
        test=splits[1],
        class_names=SPECS["fashion_mnist"].class_names,
        mean=0.0,
        std=1.0,
        checksum="",
        origin="folder",
    )


def random_images(count: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8))


def test_the_real_dataset_in_numbers(fashion_mnist: Dataset) -> None:
    train, test = summarize(fashion_mnist.train), summarize(fashion_mnist.test)
    assert (train.num_images, train.class_counts) == (60_000, (6000,) * 10)
    assert (test.num_images, test.class_counts) == (10_000, (1000,) * 10)
    assert train.image_shape == (1, 28, 28) and (train.least_pixel, train.greatest_pixel) == (0, 255)
    assert train.mean == pytest.approx(fashion_mnist.mean, abs=1e-12)
    assert train.std == pytest.approx(fashion_mnist.std, abs=1e-12)
    assert train.background_share == pytest.approx(float((fashion_mnist.train.images == 0).float().mean()), abs=1e-6)


def test_the_checksums_are_those_of_the_published_files(fashion_mnist: Dataset) -> None:
    checksums = file_checksums(fashion_mnist)
    assert [one.md5 for one in checksums] == [file.md5 for file in SPECS["fashion_mnist"].files]
    changed = fashion_mnist.test.images.clone()
    changed[9_999, 0, 27, 27] ^= 1
    test = Split(images=changed, labels=fashion_mnist.test.labels)
    wrong = file_checksums(dataclasses.replace(fashion_mnist, test=test))
    assert [one.md5 == one.expected for one in wrong] == [True, True, False, True]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), limit=st.sampled_from([0.0, 1.0, 5.0, 40.0, 105.0, 200.0]))
def test_near_duplicates_are_those_that_a_search_pair_by_pair_finds(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    train, test = random_images(30, seed), random_images(12, seed + 1)
    for place, noise in enumerate((0, 1, 6, 60)):
        noisy = train[rng.integers(30)].int() + torch.from_numpy(rng.integers(-noise, noise + 1, (28, 28)))
        test[place] = noisy.clamp(0, 255).byte()
    with pytest.MonkeyPatch.context() as patch:  # several chunks of both
        patch.setattr(explore, "_TEST_CHUNK", 5)
        patch.setattr(explore, "_TRAIN_CHUNK", 7)
        pairs = near_duplicates(dataset_of(train, test), limit)
    difference = (test[:, None].double() - train[None].double()).square().mean((2, 3)).sqrt()
    nearest, index = difference.min(1)
    expected = {place: (int(index[place]), float(nearest[place])) for place in range(12) if nearest[place] <= limit}
    assert {pair.test_index: (pair.train_index, pytest.approx(pair.rms_difference)) for pair in pairs} == expected
    assert [pair.rms_difference for pair in pairs] == sorted(pair.rms_difference for pair in pairs)
    assert len(pairs) >= 1  # one test image is a copy


@pytest.mark.parametrize("limit", [-1.0, float("nan")])
def test_a_limit_that_makes_no_sense_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="near="):
        near_duplicates(dataset_of(random_images(3, 0), random_images(2, 1)), limit)


def test_the_sample_has_the_first_images_of_each_class(small: Dataset) -> None:
    indices = sample_indices(small.train, per_class=3)
    assert small.train.labels[indices].tolist() == [label for label in range(10) for _ in range(3)]
    of_class = torch.nonzero(small.train.labels == 4).flatten()
    assert indices[12:15].tolist() == of_class[:3].tolist()


def test_the_command_says_all_and_draws(
    small: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("figures")
    copy = small.train.select(torch.tensor([7]))
    test = Split(images=torch.cat([small.test.images, copy.images]), labels=torch.cat([small.test.labels, copy.labels]))
    monkeypatch.setattr("fmnist_zoo.cli.data.load_dataset", lambda name, root: dataclasses.replace(small, test=test))
    text = data_text(DataConfig(figures=folder))
    assert "1,001" in text and "1 x 28 x 28" in text and small.checksum in text and small.origin in text
    assert "1 are identical to it, 0 have a different label" in text
    counts = torch.bincount(small.train.labels, minlength=10).tolist()
    for name, count in zip(small.class_names, counts, strict=True):
        assert any(line.split()[-2] == str(count) for line in text.splitlines() if f"  {name} " in line)
    drawn = {path.name: path.read_bytes() for path in folder.iterdir()}
    names = ("samples", "classes", "near-duplicates")
    assert set(drawn) == {f"fashion_mnist-{name}.{suffix}" for name in names for suffix in ("svg", "png")}
    data_text(DataConfig(figures=folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == drawn
