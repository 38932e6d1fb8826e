"""The real dataset, the split that everything is tuned on, and names."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import fmnist_zoo.data
from fmnist_zoo.data import Dataset, Split, holdout, load_dataset


def make_split(labels: list[int]) -> Split:
    """Images whose first pixels tell their index."""
    images = torch.zeros(len(labels), 1, 28, 28, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(labels)) % 256
    return Split(images=images, labels=torch.tensor(labels, dtype=torch.int64))


def digest(split: Split) -> str:
    return hashlib.sha256(split.images.numpy().tobytes() + split.labels.numpy().tobytes()).hexdigest()


def test_the_real_dataset_is_the_published_one(fashion_mnist: Dataset) -> None:
    assert fashion_mnist.name == "fashion_mnist"
    assert fashion_mnist.train.images.shape == (60_000, 1, 28, 28)
    assert fashion_mnist.test.images.shape == (10_000, 1, 28, 28)
    assert fashion_mnist.train.images.dtype == fashion_mnist.test.images.dtype == torch.uint8
    assert fashion_mnist.train.images.is_contiguous()
    assert fashion_mnist.train.labels.bincount().tolist() == [6000] * 10
    assert fashion_mnist.test.labels.bincount().tolist() == [1000] * 10
    assert fashion_mnist.train.labels[:5].tolist() == [9, 0, 0, 3, 0]
    assert fashion_mnist.class_names[9] == "Ankle boot"
    assert fashion_mnist.checksum == "686a8309926647bd377b273b4d5ef1a77a9ea2f0cfeb773a18565e8e6eb7b925"


def test_the_tensors_are_the_files_bytes(fashion_mnist: Dataset) -> None:
    """The published MD5s, computed anew from the tensors with the headers put back."""
    digests = []
    for split in (fashion_mnist.train, fashion_mnist.test):
        count = len(split).to_bytes(4, "big")
        header = b"\0\0\x08\x03" + count + (28).to_bytes(4, "big") * 2
        digests.append(hashlib.md5(header + split.images.numpy().tobytes()).hexdigest())
        labels = split.labels.numpy().astype(np.uint8).tobytes()
        digests.append(hashlib.md5(b"\0\0\x08\x01" + count + labels).hexdigest())
    assert digests == [
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ]


def test_mean_and_deviation_are_those_that_everybody_uses(fashion_mnist: Dataset) -> None:
    pixels = fashion_mnist.train.images.double() / 255
    assert fashion_mnist.mean == pytest.approx(float(pixels.mean()), rel=1e-9)
    assert fashion_mnist.std == pytest.approx(float(pixels.std(correction=0)), rel=1e-9)
    assert (round(fashion_mnist.mean, 4), round(fashion_mnist.std, 4)) == (0.2860, 0.3530)


def test_the_holdout_is_fixed_and_balanced(fashion_mnist: Dataset) -> None:
    train, val = holdout(fashion_mnist.train)
    assert (len(train), len(val)) == (55_000, 5_000)
    assert train.labels.bincount().tolist() == [5500] * 10
    assert val.labels.bincount().tolist() == [500] * 10
    assert digest(val) == "3c19da84536d270a0e45d82fd72e21ce6df503f59c83288f777af269eda5d911"
    assert (
        digest(holdout(fashion_mnist.train, seed=1)[1])
        == "a4b3f16605d101b49c8d16a9cabdcbca16b23adad839dfbbae7866a0bbce2ce2"
    )


def test_the_holdout_ignores_everybodys_random_state() -> None:
    split = make_split([index * 7 % 10 for index in range(200)])
    first = digest(holdout(split, num_val=30)[1])
    torch.manual_seed(5)
    torch.rand(3)
    assert digest(holdout(split, num_val=30)[1]) == first
    assert digest(holdout(split, num_val=30, seed=1)[1]) != first


@given(st.lists(st.integers(0, 9), min_size=2, max_size=250), st.data())
def test_any_holdout_is_a_stratified_partition_in_order(labels: list[int], data: st.DataObject) -> None:
    num_val = data.draw(st.integers(1, len(labels) - 1))
    train, val = holdout(make_split(labels), num_val=num_val, seed=data.draw(st.integers(0, 2**32)))
    parts = [part.images[:, 0, 0, 0].tolist() for part in (train, val)]
    assert sorted(parts[0] + parts[1]) == list(range(len(labels)))
    assert parts == [sorted(part) for part in parts]
    assert len(val) == num_val
    # one fraction of each class, rounded to whole images, fits them all
    counts = [(val.labels.tolist().count(label), labels.count(label)) for label in set(labels)]
    assert max((chosen - 0.5) / size for chosen, size in counts) <= min(
        (chosen + 0.5) / size for chosen, size in counts
    )
    assert [labels[index] for index in parts[1]] == val.labels.tolist()


@pytest.mark.parametrize("num_val", [0, -1, 10, 11])
def test_a_holdout_needs_something_on_both_sides(num_val: int) -> None:
    with pytest.raises(ValueError, match=f"num_val={num_val} must be between 1 and 9"):
        holdout(make_split(list(range(10))), num_val=num_val)


def test_select_copies_in_the_order_given() -> None:
    split = make_split(list(range(10)))
    part = split.select(torch.tensor([7, 2, 7]))
    assert part.labels.tolist() == [7, 2, 7]
    part.images.zero_()
    assert split.images[7, 0, 0, 0] == 7


def test_a_split_moves_as_a_whole() -> None:
    moved = make_split([1, 2]).to("meta")
    assert moved.images.device.type == moved.labels.device.type == "meta"


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (
            torch.zeros(3, 1, 28, 28, dtype=torch.uint8),
            torch.zeros(2, dtype=torch.int64),
            r"images must be \(2, 1, 28, 28\)",
        ),
        (torch.zeros(2, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"got \(2, 28, 28\) uint8"),
        (torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.int64), "float32"),
        (torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2, dtype=torch.uint8), "labels must be .* int64"),
    ],
)
def test_a_split_of_other_shapes_is_refused(images: torch.Tensor, labels: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Split(images=images, labels=labels)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'fashion-mnist' is not a dataset.*did you mean 'fashion_mnist'"):
        load_dataset("fashion-mnist")


def test_another_datasets_files_are_called_by_their_name(
    fashion_mnist: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split, prefix in ((fashion_mnist.train, "train"), (fashion_mnist.test, "t10k")):
        count = len(split).to_bytes(4, "big")
        header = b"\0\0\x08\x03" + count + (28).to_bytes(4, "big") * 2
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(header + split.images.numpy().tobytes())
        labels = split.labels.numpy().astype(np.uint8).tobytes()
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count + labels)
    assert load_dataset("fashion_mnist", tmp_path).checksum == fashion_mnist.checksum
    for name in ("mnist", "kmnist"):
        with pytest.raises(fmnist_zoo.data.DataFileError, match="which is fashion_mnist's train-images-idx3-ubyte"):
            load_dataset(name, tmp_path)


def test_every_public_name_is_there() -> None:
    for name in fmnist_zoo.data.__all__:
        assert getattr(fmnist_zoo.data, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_such"):
        fmnist_zoo.data.nothing_such  # noqa: B018
