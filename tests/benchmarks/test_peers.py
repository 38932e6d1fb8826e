"""The comparison with other frameworks: fair turns, right figures, and a page that says what is missing."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from torchvision.datasets import FashionMNIST

from benchmarks.measure.machine_details import results_folder
from benchmarks.peers import __main__ as peers
from benchmarks.peers.__main__ import arm_record, compare, measured_at
from benchmarks.peers.arms import ARMS, REFERENCE, ArmName
from benchmarks.peers.config import PeersConfig, check
from benchmarks.peers.inputs import write_idx, write_inputs
from benchmarks.peers.page import DASH, page, table
from benchmarks.peers.process import ArmEpoch
from benchmarks.peers.summary import code_lines, figures, ratio, time_to_target
from benchmarks.peers.task import Task
from benchmarks.peers.turns import Turns, take_turns
from benchmarks.workers.slot import JobError
from fmnist_zoo import create_model
from fmnist_zoo.data import Dataset, datasets
from fmnist_zoo.data.idx import parse_idx


def epoch(epoch_s: float, top1_pct: float = 80.0, num_images: int = 1000) -> ArmEpoch:
    return ArmEpoch(
        epoch_s=epoch_s, num_images=num_images, train_loss=0.5, val_top1_pct=top1_pct, peak_mem_mib=300.0, device="cpu"
    )


def record(name: ArmName, epochs: list[ArmEpoch] | None, reference: list[ArmEpoch], error: str | None = None) -> Any:
    turns = None if epochs is None else Turns(epochs=epochs, error=error)
    return arm_record(name, turns, reference, PeersConfig())


def test_arms_take_turns_and_one_that_dies_does_not_stop_the_others() -> None:
    order = []

    def arm(name: str, *, dies_at: int = 99) -> Callable[[], ArmEpoch]:
        def ask() -> ArmEpoch:
            order.append(name)
            if order.count(name) == dies_at:
                raise JobError("was killed by signal 9", "failed")
            return epoch(1.0)

        return ask

    found = take_turns({"a": arm("a"), "b": arm("b", dies_at=2)}, 3)
    assert order == ["a", "b", "b", "a", "a"]
    assert len(found["a"].epochs) == 3 and found["a"].error is None
    assert len(found["b"].epochs) == 1 and found["b"].error == "was killed by signal 9"


def test_speed_is_the_median_after_the_first_epoch_and_ratios_are_by_round() -> None:
    theirs = [epoch(9.0), epoch(4.0), epoch(2.0), epoch(5.0)]
    ours = [epoch(1.0, num_images=960), epoch(1.0, num_images=960), epoch(1.0, num_images=960), epoch(2.0)]
    found = figures(theirs, ours, 87.0)
    assert found["train_img_per_s"] == 250.0 and found["first_epoch_s"] == 9.0
    assert found["speed_ratio"] == pytest.approx({"median": 2.5, "min": 1.92, "max": 3.84})
    assert ratio(ours, ours) == {"median": 1.0, "min": 1.0, "max": 1.0}


def test_what_was_not_measured_is_none() -> None:
    assert ratio([epoch(1.0), epoch(1.0)], []) is None
    single = figures([epoch(3.0)], [epoch(1.0)], 87.0)
    assert single["train_img_per_s"] is None and single["speed_ratio"] is None and single["first_epoch_s"] == 3.0
    nothing = figures([], [epoch(1.0)], 87.0)
    assert all(not value for value in nothing.values()) and nothing["peak_mem_mib"] is None


def test_time_to_accuracy_counts_the_first_epoch_and_a_miss_is_none() -> None:
    epochs = [epoch(5.0, 80.0), epoch(1.0, 87.0), epoch(1.0, 86.0), epoch(1.0, 88.0)]
    assert time_to_target(epochs, 87.0) == 6.0
    assert time_to_target(epochs, 80.0) == 5.0
    assert time_to_target(epochs, 88.5) is None


def test_code_is_counted_without_blanks_comments_and_docstrings() -> None:
    source = '''
"""Module."""
import os

def decorator(f): return f

@decorator
def one(x):
    """Say.

    More.
    """

    # why
    y = [
        x,  # here

        2,
    ]
    text = """a
    b"""
    return y, text

class Two:
    """Doc."""

    def method(self):
        """Doc."""
        return 1
'''
    assert code_lines(source, ["one"]) == 9
    assert code_lines(source, ["Two"]) == 3
    assert code_lines(source, ["one", "Two"]) == 12
    with pytest.raises(ValueError, match="no function or class three; use one of: decorator, one, Two"):
        code_lines(source, ["three"])


def test_every_arm_has_a_name_to_choose_it_by_and_code_that_can_be_counted() -> None:
    assert set(ARMS) == set(get_args(ArmName)) and list(ARMS)[-1] == REFERENCE
    for arm in ARMS.values():
        assert code_lines(arm.path.read_text(encoding="utf-8"), arm.source) > 10


def test_an_arm_that_is_not_installed_has_a_row_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peers.arms.importlib.util.find_spec", lambda name: None)
    assert ARMS["keras"].missing() == ["keras", "jax"] and ARMS["torch"].missing() == []
    found = record("keras", None, [epoch(1.0)])
    assert found["status"] == "not installed" and found["train_img_per_s"] is None
    text = table({"batch_size": 64, "arms": {"keras": found}}, 87.0)
    row = next(line for line in text.splitlines() if line.startswith("| Keras 3 on JAX"))
    assert row.count(DASH) == 8
    assert "**Keras 3 on JAX**: not measured: keras and jax not installed; `pip install -e '.[peers]'` installs" in text


def test_an_arm_that_died_says_how_in_one_line() -> None:
    found = record("jax", [epoch(1.0)], [], error="the worker process was killed by signal 9; its last lines:\nx\ny")
    assert found["status"] == "failed" and "last lines:\nx" in found["error"]
    text = table({"batch_size": 64, "arms": {"jax": found}}, 87.0)
    assert text.endswith("**plain JAX**: the worker process was killed by signal 9; its last lines:")


def test_the_page_says_what_was_compared() -> None:
    ours, theirs = [epoch(2.0), epoch(0.5, 87.5)], [epoch(4.0), epoch(2.0, 86.0)]
    arms = {"tutorial": record("tutorial", theirs, ours), REFERENCE: record(REFERENCE, ours, ours)}
    found = {
        **peers.preamble(PeersConfig(epochs=2), "cpu", 55000, 5000),
        "comparisons": [{"batch_size": 64, "arms": arms}, {"batch_size": 512, "arms": arms}],
    }
    text = page(found)
    assert "## Batch 64" in text and "## Batch 512" in text
    assert "55,000 training" in text and "5,000 validation" in text and "2 epochs" in text
    row = next(line for line in text.splitlines() if line.startswith("| tutorial loop"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    lines = str(arms["tutorial"]["code_lines"])
    assert cells[1:] == ["cpu", "500", "4.00 (4.00 to 4.00)", "4.00", DASH, "0.500", "86.00", "300", lines]
    assert "DataLoader with 2 workers" in text and "`KERAS_BACKEND=jax`" in text and "OMP_NUM_THREADS" in text
    assert page(json.loads(json.dumps(found))) == text


def test_idx_files_are_those_that_the_parser_of_this_package_reads(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    write_idx(tmp_path / "x", values)
    assert np.array_equal(parse_idx((tmp_path / "x").read_bytes(), (2, 3, 4), path="x"), values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "--epochs 0"),
        ({"batch_size": (64, 2000)}, "--batch-size 2000 must be between 1 and 1500"),
        ({"batch_size": ()}, "need at least one value"),
        ({"arms": ()}, "need at least one value"),
        ({"num_workers": -1}, "--num-workers -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(PeersConfig(**options), 1500)


@pytest.fixture
def few_images(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """2,000 images in place of all, 1,500 to train on and 500 to validate."""
    halves = datasets.holdout(small.train, num_val=500)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **options: small)
    monkeypatch.setattr(datasets, "holdout", lambda split: halves)


@pytest.mark.slow
@pytest.mark.usefixtures("few_images")
def test_the_command_compares_in_processes_and_writes_json_and_page(tmp_path: Path) -> None:
    arms: tuple[ArmName, ...] = ("torch", "fmnist_zoo")
    found = compare(PeersConfig(arms=arms, epochs=2, batch_size=(100,), target=0.0, device="cpu", out=tmp_path))
    folder = results_folder(tmp_path, "cpu")
    assert json.loads((folder / "peers.json").read_text()) == found
    assert (folder / "peers.md").read_text() == page(found) + "\n"
    assert measured_at(folder) == found["measured_at"]
    measured = found["comparisons"][0]["arms"]
    assert list(measured) == list(arms)
    for arm in measured.values():
        assert arm["status"] == "ok" and arm["device"] == "cpu" and arm["images_per_epoch"] == 1500
        assert len(arm["epoch_s"]) == len(arm["train_loss"]) == len(arm["val_top1_pct"]) == 2
        assert arm["time_to_target_s"] == arm["first_epoch_s"] == arm["epoch_s"][0]
        assert arm["final_val_top1_pct"] > 50 and arm["peak_mem_mib"] > 50
    assert measured[REFERENCE]["speed_ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}


def test_a_comparison_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    assert measured_at(tmp_path) is None
    peers.write(tmp_path, peers.preamble(PeersConfig(), "cpu", 1, 1) | {"comparisons": [{"batch_size": 1, "arms": {}}]})
    assert (tmp_path / "peers.json").is_file() and measured_at(tmp_path) is None


def test_torchvision_reads_the_very_images(small: Dataset, tmp_path: Path) -> None:
    write_inputs(tmp_path, small.train, small.test, create_model("tutorial_mlp_128_64"))
    task = Task(arm="tutorial", folder=str(tmp_path), batch_size=64, epochs=1)
    theirs = FashionMNIST(task.idx_root, train=True)
    images, labels = task.training_data()
    assert np.array_equal(theirs.data.numpy(), images) and np.array_equal(theirs.targets.numpy(), labels)
    assert np.array_equal(images, small.train.images.squeeze(1).numpy())
    assert dataclasses.replace(task, arm="jax").logits_path != task.logits_path
