"""What a processor can compute in: the rules held against torch itself, on the processor that torch believes it has.

`tests/test_other_processors.py` runs this file as on processors without AVX512, and without AVX2; `tox -m processors`
runs every test marked `processor`.
"""

import dataclasses
import itertools
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fmnist_zoo import create_model, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.processor import (
    cpu_capability,
    has_bf16,
    has_fp16,
    part_compiler_cache,
    recurrent_dtype,
    recurrent_in_fp32,
)
from fmnist_zoo.recipe import Augmentation, Budget, Precision, Recipe
from fmnist_zoo.training.choose import choose
from fmnist_zoo.training.precision import check_precision, is_emulated, precision_notes
from tests.fp32_only import Fp32Only

pytestmark = pytest.mark.processor

CPU = torch.device("cpu")
FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}
CELLS: dict[str, Any] = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN_TANH": nn.RNN}
RECIPE = Recipe(budget=Budget("epochs", 1), batch_size=100)
SCALE = PixelScale("unit", mean=0.3, std=0.4)


def test_the_capability_is_the_one_that_was_asked_for() -> None:
    asked = os.environ.get("ATEN_CPU_CAPABILITY")
    assert asked is None or cpu_capability() == asked.upper()


def test_no_processor_is_given_a_format_that_onednn_was_told_to_do_without() -> None:
    if os.environ.get("ONEDNN_MAX_CPU_ISA") in ("AVX2", "SSE41"):
        assert not has_bf16(CPU) and not has_fp16(CPU)
        assert is_emulated("bf16", CPU) and is_emulated("bf16_weights", CPU)
    assert not is_emulated("fp32", CPU) and not is_emulated("fp16", CPU)


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("mode", CELLS)
def test_recurrent_cells_run_in_the_format_that_torch_has_for_them(mode: str, precision: str) -> None:
    """What torch itself does under autocast: an output in that format, one in fp32, or an error."""
    layer, sequence = CELLS[mode](28, 16, batch_first=True), torch.randn(4, 5, 28)
    assert layer.mode == mode
    try:
        with torch.autocast("cpu", dtype=FORMATS[precision]):
            output, _ = layer(sequence)
            output.float().sum().backward()
        possible = output.dtype
    except RuntimeError:
        possible = torch.float32
    assert recurrent_dtype(mode, FORMATS[precision], "cpu") == possible
    expected = [mode] if possible == torch.float32 else []
    assert recurrent_in_fp32(nn.Sequential(layer), FORMATS[precision], CPU) == expected


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *itertools.product(["lstm", "gru", "rnn", "mlp"], ["bf16", "bf16_weights", "fp16"]),
        *itertools.product(["cnn", "transformer"], ["bf16", "bf16_weights"]),
    ],
)
def test_every_precision_trains_or_is_refused_by_name(name: str, precision: Precision, small: Dataset) -> None:
    if precision == "fp16" and not has_fp16(CPU):
        with pytest.raises(ValueError, match="fp16 needs a processor"):
            check_precision(precision, CPU)
        return
    few = small.train.select(torch.arange(200))
    sizes: dict[str, Any] = {
        "mlp": {"hidden": (16,)},
        "cnn": {"widths": "4-8-8"},
        "transformer": {"dim": 16, "depth": 1},
    }
    losses: dict[str, float] = {}
    for each in ("fp32", precision):
        torch.manual_seed(0)
        model = create_model(name, **sizes.get(name, {"hidden": 16}))
        dataset = dataclasses.replace(small, train=few)
        last = fit(model, dataset, recipe=RECIPE, device="cpu", precision=each).history[-1]
        losses[each] = last["train_loss"] or math.nan  # type: ignore[arg-type]
    assert math.isfinite(losses[precision]) and losses[precision] == pytest.approx(losses["fp32"], abs=0.1)


def test_the_notes_name_what_the_precision_does_not() -> None:
    lstm, mlp = create_model("lstm", hidden=16), create_model("mlp", hidden=(16,))
    assert precision_notes(lstm, "fp32", CPU) == precision_notes(mlp, "fp32", CPU) == []
    emulated = [note for note in precision_notes(mlp, "bf16", CPU) if "emulated" in note and cpu_capability() in note]
    assert len(emulated) == len(precision_notes(mlp, "bf16", CPU)) == (0 if has_bf16(CPU) else 1)
    cells = [note for note in precision_notes(lstm, "bf16", CPU) if "nn.LSTM computes in fp32" in note]
    assert len(cells) == (0 if has_bf16(CPU) else 1)
    assert any("nn.GRU computes in fp32" in note for note in precision_notes(create_model("gru"), "bf16", CPU))
    assert not any("nn.LSTM" in note for note in precision_notes(lstm, "bf16_weights", CPU))


def test_nothing_emulated_is_chosen(small: Dataset) -> None:
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    choice = choose(create_model("mlp", hidden=(16,)), RECIPE, loader, SCALE, precision=None, engine="eager")
    assert choice.reason is not None and ("bf16" in choice.reason) == has_bf16(CPU)
    assert not is_emulated(choice.precision, CPU)


def test_a_model_that_only_computes_in_fp32_is_trained_in_it(small: Dataset) -> None:
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    choice = choose(Fp32Only(), RECIPE, loader, SCALE, precision=None, engine="eager")
    assert choice.precision == "fp32" and choice.reason is not None
    assert ("bf16 fails" in choice.reason) == has_bf16(CPU)
    with pytest.raises(RuntimeError, match="not implemented"):
        choose(Fp32Only(), RECIPE, loader, SCALE, precision="bf16", engine=None)


def test_compiled_code_is_kept_apart_by_instruction_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Torch would compile code that was written for vectors of 8 for vectors of 16: it writes beyond its arrays."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    part_compiler_cache()
    own = tmp_path / cpu_capability().lower()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(own)
    part_compiler_cache()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(own)
