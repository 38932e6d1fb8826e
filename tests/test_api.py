"""The public surface of the library, as the README uses it."""

import subprocess
import sys
from pathlib import Path

import pytest

import fmnist_zoo
from benchmarks.run import main

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", fmnist_zoo.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fmnist_zoo, name).__name__ == name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = fmnist_zoo.nonsense


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )


def test_importing_the_package_loads_no_torch() -> None:
    result = run("-c", "import sys, fmnist_zoo, fmnist_zoo.recipe; print('torch' in sys.modules)")
    assert result.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--models", "mpl"], "did you mean 'mlp'"),
        (["--model", "mlp"], "--models"),
        (["--precision", "fp31"], "fp32"),
        (["--models", "mlp", "--data-dir", "/nonexistent"], "/nonexistent"),
        (["--models", "mlp", "--batch-size", "zero"], "zero"),
        (["--models", "mlp", "--set", "mlp.hidden=8", "--set", "mlp.dropout=0.1"], "--set appears twice"),
        (["--models", "mlp", "--lr=0.1", "--lr", "0.2"], "--lr appears twice"),
    ],
)
def test_wrong_arguments_exit_with_2_and_name_the_nearest(
    arguments: list[str], hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main([*arguments, "--out", str(tmp_path / "out")])
    except SystemExit as end:  # the parser's
        code = end.code
    printed = capsys.readouterr()
    assert code == 2 and hint in printed.out + printed.err
    assert "Traceback" not in printed.err
    assert not (tmp_path / "out").exists()


def test_what_the_command_gives_back_is_the_exit_code_of_its_process() -> None:
    result = run("-m", "benchmarks.run", "--models", "mlp", "--lr=0.1", "--lr", "0.2")
    assert result.returncode == 2 and "--lr appears twice" in result.stderr and "Traceback" not in result.stderr


def test_list_and_dry_run_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--models", "all", "--out", str(tmp_path / "out")]) == 0
    assert "unet_encoder" in capsys.readouterr().out
    planned = run(
        "-m", "benchmarks.run", "--models", "mlp", "--lr", "0.01", "0.001", "--dry-run", "--out", str(tmp_path / "out")
    )
    assert planned.returncode == 0, planned.stderr
    assert "mlp lr=0.01" in planned.stdout and "2 variants, 2 runs" in planned.stdout
    assert not (tmp_path / "out").exists()
