"""Batches: order, augmentation and scaling, on images small enough to check by eye and on real ones."""

import pytest
import torch

from fmnist_zoo.data import Dataset, Split
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.recipe import Augmentation


def numbered(count: int) -> Split:
    """Image i holds a gradient that tells left from right and up from down; its label is i."""
    image = torch.arange(28 * 28, dtype=torch.int64).view(28, 28)
    images = torch.stack([(image * 7 + i) % 251 + 1 for i in range(count)]).to(torch.uint8).unsqueeze(1)
    return Split(images=images, labels=torch.arange(count))


def epoch(loader: TrainLoader, number: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zip(*loader.batches(number), strict=True)
    return torch.cat(images), torch.cat(labels)


def loader(split: Split, batch_size: int = 8, augmentation: str = "none", seed: int = 0) -> TrainLoader:
    return TrainLoader(split, batch_size=batch_size, augmentation=Augmentation.parse(augmentation), seed=seed)


def test_an_epoch_holds_every_image_once_with_its_label() -> None:
    split = numbered(64)
    images, labels = epoch(loader(split))
    assert sorted(labels.tolist()) == list(range(64))
    assert labels.tolist() != list(range(64))
    assert torch.equal(images, split.images[labels])


def test_images_that_do_not_fill_a_batch_are_left_out_and_differ_by_epoch() -> None:
    some = loader(numbered(20), batch_size=8)
    assert some.steps_per_epoch == 2
    first, second = epoch(some, 0)[1], epoch(some, 1)[1]
    assert len(first) == len(second) == 16 and set(first.tolist()) != set(second.tolist())


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    split = numbered(64)
    order = epoch(loader(split, seed=3), 2)[1]
    assert torch.equal(order, epoch(loader(split, batch_size=16, augmentation="flip,shift:2", seed=3), 2)[1])
    assert not torch.equal(order, epoch(loader(split, seed=4), 2)[1])
    assert not torch.equal(order, epoch(loader(split, seed=3), 3)[1])


def test_fewer_batches_on_request() -> None:
    some = loader(numbered(64))
    assert [len(labels) for _, labels in some.batches(0, 3)] == [8, 8, 8]
    assert torch.equal(torch.cat([labels for _, labels in some.batches(0, 3)]), epoch(some)[1][:24])


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    split = numbered(64)
    whole = epoch(loader(split, augmentation="flip,shift:2,erase:0.5"))
    monkeypatch.setattr("fmnist_zoo.data.loader.CHUNK", 24)
    assert all(map(torch.equal, whole, epoch(loader(split, augmentation="flip,shift:2,erase:0.5"))))


def test_flip_mirrors_half_of_the_images_left_to_right() -> None:
    split = numbered(200)
    images, labels = epoch(loader(split, augmentation="flip"))
    original = split.images[labels]
    same = (images == original).flatten(1).all(1)
    mirrored = (images == original.flip(-1)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 70 < int(mirrored.sum()) < 130


def test_shift_moves_by_at_most_its_pixels_each_way_and_fills_with_background() -> None:
    split = numbered(200)
    images, labels = epoch(loader(split, augmentation="shift:2"))
    padded = torch.nn.functional.pad(split.images[labels], [2] * 4)
    seen = set()
    for image, wide in zip(images[:, 0], padded[:, 0], strict=True):
        places = [(y, x) for y in range(5) for x in range(5) if torch.equal(image, wide[y : y + 28, x : x + 28])]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 25


def test_erasing_fills_one_rectangle_with_the_mean() -> None:
    split = numbered(300)
    images, labels = epoch(loader(split, augmentation="erase:0.5"))
    fill = int(split.images.sum(dtype=torch.int64)) // split.images.numel()
    changed = images != split.images[labels]
    erased = changed.flatten(1).any(1)
    assert 110 < int(erased.sum()) < 190
    for image, mask in zip(images[erased][:, 0], changed[erased][:, 0], strict=True):
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        box = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == fill).all()
        assert 0.01 * 784 < box.numel() < 0.5 * 784


def test_augmentation_is_drawn_anew_in_each_epoch() -> None:
    some = loader(numbered(64), augmentation="shift:2")
    first, second = ({int(label): image for image, label in zip(*epoch(some, n), strict=True)} for n in (0, 1))
    assert sum(not torch.equal(first[label], second[label]) for label in first) > 40


def test_a_batch_larger_than_the_split_is_refused() -> None:
    with pytest.raises(ValueError, match="batch_size 65 is larger than the 64 training images"):
        loader(numbered(64), batch_size=65)


def test_scales_on_real_pixels(fashion_mnist: Dataset) -> None:
    pixels = fashion_mnist.train.images[:20_000]
    unit = PixelScale.of("unit", fashion_mnist)(pixels)
    assert unit.dtype == torch.float32 and unit.min() == 0 and unit.max() == pytest.approx(1)
    symmetric = PixelScale.of("symmetric", fashion_mnist)(pixels)
    torch.testing.assert_close(symmetric, unit * 2 - 1)
    standard = PixelScale.of("standardize", fashion_mnist)(pixels)
    assert float(standard.mean()) == pytest.approx(0, abs=0.02) and float(standard.std()) == pytest.approx(1, abs=0.02)
    assert pixels.dtype == torch.uint8
