"""`python -m fmnist_zoo list` and `describe`, as a person uses them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fmnist_zoo import create_model, list_models
from fmnist_zoo.__main__ import main
from fmnist_zoo.checkpoint import save_checkpoint
from fmnist_zoo.flops import count_flops

HEADER = "dataset,track,num_train,num_val,budget,variant,model,num_params,num_seeds,test_top1_pct,status"


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[object, str, str]:
    code: object
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as end:  # while the arguments are read
        code = end.code
    output = capsys.readouterr()
    return code, output.out, output.err


def rows(table: str) -> dict[str, list[str]]:
    """The cells of a table by model."""
    return {(cells := line.split())[0]: cells[1:] for line in table.splitlines()[2:]}


def test_all_models_are_listed_with_what_they_cost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where nothing is recorded
    code, output, _ = run(capsys, "list")
    assert code == 0
    assert list(rows(output)) == list_models()
    model = create_model("lstm")
    num_params = sum(parameter.numel() for parameter in model.parameters())
    macs = count_flops(model).forward_flops // 2
    assert rows(output)["lstm"][:6] == ["lstm", f"{num_params:,}", f"{macs:,}", "-", "-", "LSTM"]


def test_globs_families_and_timm_names_select(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(rows(run(capsys, "list", "cnn*", "timm/resnet18", "gru")[1])) == [
        "cnn",
        "cnn_s",
        "timm/resnet18",
        "gru",
    ]
    assert len(rows(run(capsys, "list", "all")[1])) == 5


def test_the_best_accuracy_of_all_machines_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    of_one = [
        "fashion_mnist,equal,55000,5000,epochs:5,mlp,mlp,1,1,90.32,ok",
        "mnist,equal,1,1,epochs:5,mlp,mlp,1,1,98.5,ok",
    ]
    of_two = [
        "fashion_mnist,best,60000,0,seconds:9,mlp hidden=64 budget=seconds:9,mlp,1,3,90.5,ok",
        "fashion_mnist,equal,55000,5000,epochs:5,cnn,cnn,1,0,,failed (0/1 ok)",
    ]
    for folder, lines in ((one, of_one), (two, of_two)):
        folder.mkdir()
        (folder / "accuracy.csv").write_text("\n".join([HEADER, *lines, ""]))
    output = run(capsys, "list", "mlp", "cnn", "--results", tmp_path)[1]
    assert rows(output)["mlp"][3] == "90.50" and rows(output)["cnn"][3] == "-"
    assert "best, seconds:9, hidden=64, 3 seeds, two" in output
    assert rows(run(capsys, "list", "mlp", "--results", one)[1])["mlp"][3] == "90.32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "mpl"], "did you mean 'mlp'"),
        (["list", "nothing*"], "no model matches 'nothing*'"),
        (["list", "--results", "nowhere"], "nowhere holds no accuracy.csv"),
        (["list", "--results", "odd"], "not an accuracy table"),
        (["list", "--plugin", "missing.py"], "missing.py"),
        (["describe"], "name a model"),
        (["describe", "mpl"], "did you mean 'mlp'"),
        (["describe", "results/nowhere/weights/x"], "holds no readable checkpoint"),
        (["describe", "odd"], "odd holds no readable checkpoint"),
        (["describe", "cnn", "--set", "cnn.widht=1"], "did you mean 'widths'"),
        (["describe", "cnn", "--set", "widths=1"], "MODEL.OPTION=VALUE"),
        (["describe", "cnn", "--set", "mlp.hidden=1"], "'mlp' is not one of the models to describe"),
        (["describe", "cnn", "--set", "cnn.widths=8", "--set=cnn.dropout=0.1"], "--set appears twice"),
    ],
)
def test_what_can_not_be_done_is_said_in_a_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "accuracy.csv").write_text("dataset,model\nfashion_mnist,mlp\n")
    code, output, error = run(capsys, *arguments)
    assert (code, output) == (2, "")
    assert error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_model_is_described_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    code, output, _ = run(capsys, "describe", "cnn")
    assert code == 0
    lines = [" ".join(line.split()) for line in output.splitlines()]
    assert "stages.1.0 Conv2d 64 x 7 x 7 18,432 903,168 7 x 7" in lines
    assert "total 278,890 6,306,176" in lines and "tensor shape mean std min max" in lines
    assert "per image: 6.306 million MACs forward, 37.72 million FLOPs forward and backward (1 MAC = 2 FLOPs)" in lines
    assert "head.bias 10" in " ".join(output.split()) and "first values" not in output


def test_options_change_what_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    output = run(capsys, "describe", "mlp", "gru", "--set", "mlp.hidden=32")[1]
    assert "mlp hidden=32: by default 784-256-128-10 perceptron" in output and "gru: " in output
    assert "gru: by default" not in output
    assert sum(" Linear " in line for line in output.splitlines()) == 3


def test_the_weights_of_a_trained_model_are_its_own(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = create_model("mlp", hidden=(32,))
    for parameter in model.parameters():
        parameter.data.fill_(0.125)
    names = tuple("abcdefghij")
    save_checkpoint(
        tmp_path / "saved", model, name="mlp", options={"hidden": "32"}, input_scaling="unit", mean=0.0, std=1.0,
        class_names=names,
    )  # fmt: skip
    output = run(capsys, "describe", tmp_path / "saved", "--weights")[1]
    assert "mlp hidden=32: by default" in output
    head = next(line.split() for line in output.splitlines() if line.startswith("head.weight"))
    assert head[1:] == ["10", "x", "32", *["0.125", "0", "0.125", "0.125"], "0.125,", "0.125,", "0.125,", "0.125"]
    by_default = run(capsys, "describe", tmp_path / "saved")[1]
    statistics = next(line.split() for line in by_default.splitlines() if line.startswith("head.weight"))
    assert statistics == head[:8]  # all but the values
    fresh = run(capsys, "describe", "mlp", "--weights")[1]
    assert fresh == run(capsys, "describe", "mlp", "--weights")[1]  # seed 0


@pytest.mark.parametrize(
    "command", [("fmnist_zoo", "list"), ("benchmarks.run", "--list"), ("benchmarks.run", "--help")], ids=" ".join
)
def test_a_reader_who_has_seen_enough_is_no_error(command: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `head` does, only sooner
    try:
        done = subprocess.run(
            [sys.executable, "-m", *command], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
