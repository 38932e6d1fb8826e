"""From a picture file to a class, through the command line."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from fmnist_zoo import Recipe, create_model, fit
from fmnist_zoo.__main__ import main
from fmnist_zoo.checkpoint import load_checkpoint, save_checkpoint
from fmnist_zoo.data import Dataset
from fmnist_zoo.predict.classify import class_probabilities, find_pictures
from fmnist_zoo.recipe import Budget


@pytest.fixture(scope="module")
def trained(fashion_mnist: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A perceptron after two epochs on a fifth of the training images, in a folder."""
    torch.manual_seed(0)
    part = dataclasses.replace(fashion_mnist, train=fashion_mnist.train.select(torch.arange(12_000)))
    model, recipe = create_model("mlp"), Recipe(budget=Budget("epochs", 2))
    fit(model, part, recipe=recipe)
    folder = tmp_path_factory.mktemp("weights") / "mlp-s0"
    save_checkpoint(
        folder,
        model,
        name="mlp",
        options={},
        input_scaling=recipe.input_scaling,
        mean=part.mean,
        std=part.std,
        class_names=part.class_names,
    )
    return folder


@pytest.fixture(scope="module")
def right(trained: Path, fashion_mnist: Dataset) -> list[int]:
    """Which of the first 100 test images the model gets right as tensors."""
    first = fashion_mnist.test.select(torch.arange(100))
    predicted = class_probabilities(load_checkpoint(trained), first.images).argmax(1)
    return torch.nonzero(predicted == first.labels).flatten().tolist()


def tinted(pixels: NDArray[np.uint8]) -> Image.Image:
    """On white, in shades of red."""
    return Image.fromarray((255 - pixels[..., None] * np.array([0.5, 0.8, 0.9])).round().astype(np.uint8))


def larger(pixels: NDArray[np.uint8]) -> Image.Image:
    """Ten times as large, on white, with a margin."""
    image = Image.new("L", (400, 340), "white")
    image.paste(Image.fromarray(255 - pixels).resize((280, 280), Image.Resampling.BICUBIC), (70, 30))
    return image


VERSIONS: dict[str, tuple[Callable[[Any], Image.Image], int]] = {
    "as it is": (Image.fromarray, 95),
    "inverted": (lambda pixels: Image.fromarray(255 - pixels), 95),
    "in colour": (tinted, 85),
    "larger": (larger, 80),
}


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.parametrize("version", list(VERSIONS))
def test_saved_images_are_recognised_as_their_tensors_are(
    version: str,
    trained: Path,
    right: list[int],
    fashion_mnist: Dataset,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make, least_pct = VERSIONS[version]
    assert len(right) >= 70
    for index in right:
        make(fashion_mnist.test.images[index, 0].numpy()).save(tmp_path / f"{index:03}.png")
    code, output, _ = run(capsys, "predict", "--model", trained, "--json", tmp_path)
    assert code == 0
    predictions = json.loads(output)["predictions"]
    named = {int(Path(entry["picture"]).stem): entry["guesses"][0]["class"] for entry in predictions}
    assert sorted(named) == right
    labels = fashion_mnist.test.labels.tolist()
    num_same = sum(named[index] == fashion_mnist.class_names[labels[index]] for index in right)
    assert 100 * num_same / len(right) >= least_pct


def test_three_guesses_in_order_with_their_probabilities(
    trained: Path, fashion_mnist: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(fashion_mnist.test.images[0, 0].numpy()).save(tmp_path / "boot.png")
    expected = class_probabilities(load_checkpoint(trained), fashion_mnist.test.images[:1])[0]
    _, output, _ = run(capsys, "predict", "--model", trained, "--json", tmp_path / "boot.png")
    found = json.loads(output)
    assert found["model"] == "mlp"
    (entry,) = found["predictions"]
    assert entry["picture"] == str(tmp_path / "boot.png")
    assert [guess["probability"] for guess in entry["guesses"]] == pytest.approx(expected.topk(3)[0].tolist(), abs=1e-5)
    code, table, _ = run(capsys, "predict", "--model", trained, tmp_path / "*.png")
    best = entry["guesses"][0]
    assert code == 0
    assert f"{best['class']} {100 * best['probability']:.1f}%" in table and "boot.png" in table


def test_the_test_split_is_scored(trained: Path, fashion_mnist: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = run(capsys, "predict", "--model", trained, "--test-split")
    predicted = class_probabilities(load_checkpoint(trained), fashion_mnist.test.images).argmax(1)
    num_right = int((predicted == fashion_mnist.test.labels).sum())
    assert code == 0
    assert output.startswith(f"{num_right:,} of 10,000 test images correct: {num_right / 100:.2f}%")
    of_bags = predicted[fashion_mnist.test.labels == 8] == 8
    bags = next(line.split() for line in output.splitlines() if line.startswith("Bag"))
    assert bags[1:3] == ["1000", f"{100 * of_bags.float().mean():.1f}"]
    _, output, _ = run(capsys, "predict", "--model", trained, "--test-split", "--json")
    predictions = json.loads(output)["predictions"]
    assert len(predictions) == 10_000
    assert sum(entry["label"] == entry["guesses"][0]["class"] for entry in predictions) == num_right


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
@pytest.mark.parametrize("what", ["pullover.png", "--test-split"])
def test_a_figure_is_drawn_the_same_each_time(
    suffix: str, what: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fashion_mnist: Dataset,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    larger(fashion_mnist.test.images[1, 0].numpy()).save("pullover.png")
    arguments = ("predict", "--model", trained, what, "--figure", f"a.{suffix}")
    assert run(capsys, *arguments)[0] == 0
    first = (tmp_path / f"a.{suffix}").read_bytes()
    assert len(first) > 5000
    run(capsys, *arguments)
    assert (tmp_path / f"a.{suffix}").read_bytes() == first


def test_a_folder_gives_its_images_and_each_file_is_read_once(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).touch()
    expected = [tmp_path / "a.jpg", tmp_path / "b.PNG"]
    assert find_pictures([str(tmp_path)]) == expected
    assert find_pictures([str(tmp_path / "?.*"), str(tmp_path), str(tmp_path / "a.jpg")]) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["text.png"], "text.png can't be read: not an image"),
        (["missing.png"], "missing.png doesn't exist"),
        (["empty"], "empty has no image file"),
        (["*.bmp"], "*.bmp matches no file"),
        ([], "give either pictures"),
        (["good.png", "--test-split"], "give either pictures"),
        (["good.png", "--figure", "x.gif"], "x.gif must end in .svg, .png, .pdf"),
        (["good.png", "--figure", "text.png/x.png"], "text.png"),
        (["many", "--figure", "x.png"], "at most 20 pictures, not 21"),
        (["good.png", "--model", "empty"], "empty is not a trained model"),
        (["good.png", "--model", "nothing"], "matches no trained model"),
        (["good.png", "--model", "broken"], "broken holds no readable checkpoint"),
        (["good.png", "--model", "weights/*"], "matches 2 trained models"),
        (["--test-split", "--dataset", "mnist", "--data-dir", "empty"], "empty"),
    ],
)
def test_what_can_not_be_done_is_said_in_a_sentence(
    arguments: list[str],
    message: str,
    trained: Path,
    fashion_mnist: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("empty", "many", "broken", "weights/one", "weights/two"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "text.png").write_text("no image")
    good = Image.fromarray(fashion_mnist.test.images[0, 0].numpy())
    for path in ("good.png", *(f"many/{place}.png" for place in range(21))):
        good.save(path)
    for name in ("broken", "weights/one", "weights/two"):
        (tmp_path / name / "model.json").write_text("{}")
    model = [] if "--model" in arguments else ["--model", trained]
    code, output, error = run(capsys, "predict", *model, *arguments)
    assert (code, output) == (2, "")
    assert error.startswith("error: ") and message in error and "Traceback" not in error
    assert error.count("\n") == 1


def test_a_model_of_other_classes_is_not_scored_on_this_dataset(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "digits"
    folder.mkdir()
    config = json.loads((trained / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**config, "class_names": list("0123456789")}))
    (folder / "weights.safetensors").write_bytes((trained / "weights.safetensors").read_bytes())
    code, _, error = run(capsys, "predict", "--model", folder, "--test-split")
    assert code == 2 and "not those of fashion_mnist" in error
