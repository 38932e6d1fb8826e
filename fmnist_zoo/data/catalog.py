"""Known datasets and the checksums of their files."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import Final

NUM_CLASSES: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class IdxFile:
    """One file of a dataset and what identifies it.

    Mirrors may recompress, so a file is identified by the MD5 of its *decompressed* bytes. Where that was not published
    (KMNIST), `gz_md5` identifies the published .gz, and only the structure of an uncompressed copy is checked.
    """

    name: str
    """Without `.gz`."""
    shape: tuple[int, ...]
    """(n, 28, 28) for images, (n,) for labels; uint8."""
    md5: str | None = None
    gz_md5: str | None = None

    @property
    def size_bytes(self) -> int:
        """Decompressed length: magic number, one 32-bit count per dimension, values."""
        return 4 + 4 * len(self.shape) + math.prod(self.shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class DebianPackage:
    """A Debian package with the files."""

    package: str
    folder: str
    """Their folder, relative to the root of the file system."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetSpec:
    """A dataset of 28 x 28 grey images in 10 classes, in four idx files."""

    name: str
    class_names: tuple[str, ...]
    files: tuple[IdxFile, IdxFile, IdxFile, IdxFile]
    """Train images, train labels, test images, test labels, in this order."""
    torchvision_class: str
    """The `torchvision.datasets` class that lists the mirrors."""
    debian: DebianPackage | None = None


_NO_MD5S = (None, None, None, None)


def _files(
    *,
    md5s: tuple[str | None, str | None, str | None, str | None] = _NO_MD5S,
    gz_md5s: tuple[str | None, str | None, str | None, str | None] = _NO_MD5S,
) -> tuple[IdxFile, IdxFile, IdxFile, IdxFile]:
    """The four files; MD5s in the same order."""
    return (
        IdxFile(name="train-images-idx3-ubyte", shape=(60_000, 28, 28), md5=md5s[0], gz_md5=gz_md5s[0]),
        IdxFile(name="train-labels-idx1-ubyte", shape=(60_000,), md5=md5s[1], gz_md5=gz_md5s[1]),
        IdxFile(name="t10k-images-idx3-ubyte", shape=(10_000, 28, 28), md5=md5s[2], gz_md5=gz_md5s[2]),
        IdxFile(name="t10k-labels-idx1-ubyte", shape=(10_000,), md5=md5s[3], gz_md5=gz_md5s[3]),
    )


SPECS: Final[dict[str, DatasetSpec]] = {
    spec.name: spec
    for spec in (
        DatasetSpec(
            name="fashion_mnist",
            class_names=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            torchvision_class="FashionMNIST",
            debian=DebianPackage(package="dataset-fashion-mnist", folder="usr/share/datasets/fashion-mnist"),
            files=_files(
                md5s=(
                    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                    "9018921c3c673c538a1fc5bad174d6f9",
                    "8181f5470baa50b63fa0f6fddb340f0a",
                    "15d484375f8d13e6eb1aabb0c3f46965",
                )
            ),
        ),
        DatasetSpec(
            name="mnist",
            class_names=tuple("0123456789"),
            torchvision_class="MNIST",
            files=_files(
                md5s=(
                    "6bbc9ace898e44ae57da46a324031adb",
                    "a25bea736e30d166cdddb491f175f624",
                    "2646ac647ad5339dbf082846283269ea",
                    "27ae3e4e09519cfbb04c329615203637",
                )
            ),
        ),
        DatasetSpec(
            name="kmnist",
            class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            torchvision_class="KMNIST",
            files=_files(
                gz_md5s=(
                    "bdb82020997e1d708af4cf47b453dcf7",
                    "e144d726b3acfaa3e44228e80efcd344",
                    "5c965bf0a639b31b8f53240b1b52f4d7",
                    "7320c461ea6c1c855c0b718fb2a4b134",
                )
            ),
        ),
    )
}


def find_spec(name: str) -> DatasetSpec:
    """The dataset called `name`.

    Raises:
        ValueError: unknown name; the message suggests the closest.
    """
    if name in SPECS:
        return SPECS[name]
    nearest = difflib.get_close_matches(name, SPECS, n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"name={name!r} is not a dataset; use one of {', '.join(SPECS)}{hint}")


def whose(md5: str) -> str | None:
    """The known file with this decompressed MD5, as text for a message; None if unknown."""
    for spec in SPECS.values():
        for file in spec.files:
            if file.md5 == md5:
                return f"{spec.name}'s {file.name}"
    return None
