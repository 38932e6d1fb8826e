"""A training that is killed and goes on: the same weights bit for bit, a clock of training alone, and bad files."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from fmnist_zoo import create_model, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.recipe import Augmentation, Budget, Precision, Recipe
from fmnist_zoo.training.fit import EpochStats, FitResult, train_epoch
from fmnist_zoo.training.ledger import Ledger
from fmnist_zoo.training.state import (
    Checkpoints,
    TrainingState,
    fill,
    random_state,
    read_state,
    set_random_state,
    to_cpu,
)
from fmnist_zoo.training.step import TrainingStep
from tests.full_disk import room_for
from tests.test_graph import FakeGraph

KEY = "this training"
SCALE = PixelScale("unit", mean=0.3, std=0.35)


class KilledError(Exception):
    """Stands for a kill in the middle of an epoch."""


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {
        "budget": Budget("epochs", 4), "batch_size": 100, "lr": 3e-3,
        "augmentation": Augmentation(shift=1, flip=True, erase=0.2), **changes,
    }  # fmt: skip
    return Recipe(**fields)


def model(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    return create_model("mlp", **{"hidden": (32, 32), "norm": "batch", "dropout": 0.2, **options})


def dies_after(epoch: int) -> Callable[[EpochStats], None]:
    """An `on_epoch` that ends the training before that epoch's own checkpoint is written."""

    def on_epoch(stats: EpochStats) -> None:
        if stats["epoch"] == epoch:
            raise KilledError

    return on_epoch


def everything(module: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in module.state_dict().values()]


def without_clock(result: FitResult) -> list[EpochStats]:
    return [{**stats, "elapsed_s": 0.0} for stats in result.history]


def killed_and_resumed(path: Path, small: Dataset, *, killed_in: int, **options: Any) -> tuple[nn.Module, FitResult]:
    with pytest.raises(KilledError):
        fit(
            model(), small, num_val=500, device="cpu", **options,
            checkpoints=Checkpoints(path, key=KEY, every_epochs=1), on_epoch=dies_after(killed_in),
        )  # fmt: skip
    resumed = model()
    return resumed, fit(
        resumed, small, num_val=500, device="cpu", **options, checkpoints=Checkpoints(path, key=KEY, every_epochs=1)
    )


@pytest.mark.processor
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "muon"])
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16_weights"])
def test_a_killed_training_ends_with_the_same_bits(
    optimizer: str, precision: Precision, small: Dataset, tmp_path: Path
) -> None:
    """With dropout, batch statistics, augmentation, averaging and clipping: nothing of them may be forgotten."""
    options: dict[str, Any] = {"recipe": recipe(optimizer=optimizer, ema_decay=0.9, clip_grad_norm=0.5)}
    options |= {"precision": precision, "seed": 3}
    whole = model()
    expected = fit(whole, small, num_val=500, device="cpu", **options)
    resumed, result = killed_and_resumed(tmp_path / "state", small, killed_in=3, **options)
    assert result.resumed_epochs == 2 and expected.resumed_epochs is None
    assert all(torch.equal(a, b) for a, b in zip(everything(whole), everything(resumed), strict=True))
    assert without_clock(result) == without_clock(expected) and result.num_steps == expected.num_steps


@pytest.mark.parametrize("family", ["lstm", "transformer", "cnn"])
def test_other_layers_go_on_too(family: str, small: Dataset, tmp_path: Path) -> None:
    sizes = {"cnn": {"widths": "4-8-8"}, "lstm": {"hidden": 16}, "transformer": {"dim": 16, "depth": 1}}[family]
    few = dataclasses.replace(small, train=small.train.select(torch.arange(600)))

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return create_model(family, **sizes)

    whole, resumed = fresh(), fresh()
    spec = recipe(budget=Budget("epochs", 3))
    fit(whole, few, recipe=spec, device="cpu")
    with pytest.raises(KilledError):
        fit(
            fresh(), few, recipe=spec, device="cpu", on_epoch=dies_after(2),
            checkpoints=Checkpoints(tmp_path / "state", key=KEY, every_epochs=1),
        )  # fmt: skip
    fit(resumed, few, recipe=spec, device="cpu", checkpoints=Checkpoints(tmp_path / "state", key=KEY))
    assert all(torch.equal(a, b) for a, b in zip(everything(whole), everything(resumed), strict=True))


def test_compiled_and_captured_steps_go_on_too(small: Dataset) -> None:
    """Both work on the tensors that they were made with: these are filled, not replaced."""
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    for engine in ("compile", "graph"):
        step = TrainingStep(
            model(), recipe(optimizer="adamw", ema_decay=0.9), scale=SCALE, precision="fp32", engine=engine,
            capture=FakeGraph,
        )  # fmt: skip
        if engine == "graph":
            step._loss = step._eager_loss  # what is captured is the matter here, not the compiler
        step.warm_up(loader.chunks(0, 2))
        assert (step._whole is not None, step._captured is not None) == (engine == "compile", engine == "graph")
        train_epoch(step, loader, 0, done=0, total=40)
        saved = to_cpu({**step.tensors(), **random_state(step.device)})
        ends: list[dict[str, torch.Tensor]] = []
        for _ in range(2):
            fill({**step.tensors(), **random_state(step.device)}, saved)
            set_random_state(step.device, saved)
            train_epoch(step, loader, 1, done=20, total=40)
            ends.append(to_cpu(step.tensors()))
        assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
        assert not torch.equal(ends[0]["average.0"], saved["average.0"])


@pytest.mark.processor
def test_the_scale_of_fp16_goes_on(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a processor that is said to have fp16; the scaler counts the steps without an overflow, to raise its scale."""
    monkeypatch.setattr("fmnist_zoo.training.precision.has_fp16", lambda device: True)
    options: dict[str, Any] = {"recipe": recipe(optimizer="sgd"), "precision": "fp16"}
    whole = model()
    expected = fit(whole, small, num_val=500, device="cpu", **options)
    resumed, result = killed_and_resumed(tmp_path / "state", small, killed_in=3, **options)
    assert result.step.scaler.state_dict() == expected.step.scaler.state_dict()
    saved = read_state(tmp_path / "state", key=KEY).scaler
    assert saved["_growth_tracker"] == expected.num_steps
    assert all(torch.equal(a, b) for a, b in zip(everything(whole), everything(resumed), strict=True))


def test_only_every_nth_epoch_and_the_last_are_kept(small: Dataset, tmp_path: Path) -> None:
    class Counting(Checkpoints):
        def save(self, state: TrainingState) -> None:
            super().save(state)
            saved.append(len(state.history))

    saved: list[int] = []
    checkpoints = Counting(tmp_path / "state", key=KEY, every_epochs=3, about={"reason": "measured"})
    spec = recipe(budget=Budget("epochs", 5))
    expected = fit(model(), small, recipe=spec, device="cpu", checkpoints=checkpoints)
    assert saved == [3, 5]  # what follows the last, such as measuring, may be killed too
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    seen: list[EpochStats] = []
    again = Checkpoints(tmp_path / "state", key=KEY)
    assert again.state is not None and again.state.about == {"reason": "measured"}
    resumed = fit(model(), small, recipe=spec, device="cpu", checkpoints=again, on_epoch=seen.append)
    assert resumed.history == expected.history == seen and resumed.resumed_epochs == 5


def test_a_state_that_does_not_fit_onto_the_disk_ends_no_training(small: Dataset, tmp_path: Path) -> None:
    path, spec, whole, alone = tmp_path / "state", recipe(budget=Budget("epochs", 2)), model(), model()
    fit(whole, small, recipe=spec, device="cpu")
    checkpoints = Checkpoints(path, key=KEY, every_epochs=1)
    with room_for(1000), pytest.warns(UserWarning, match=f"not saved: can't write {path}: .* free some space"):
        result = fit(alone, small, recipe=spec, device="cpu", checkpoints=checkpoints)
    assert len(result.history) == 2 and list(tmp_path.iterdir()) == []
    assert all(torch.equal(a, b) for a, b in zip(everything(whole), everything(alone), strict=True))


def test_the_clock_counts_training_alone_and_goes_on(small: Dataset, tmp_path: Path) -> None:
    path, first = tmp_path / "state", Ledger()
    with pytest.raises(KilledError):
        fit(
            model(), small, recipe=recipe(), device="cpu", ledger=first, on_epoch=dies_after(3),
            checkpoints=Checkpoints(path, key=KEY, every_epochs=2),
        )  # fmt: skip
    saved = read_state(path, key=KEY)
    second = Ledger()
    with second.section("data"):
        result = fit(
            model(), small, recipe=recipe(), device="cpu", ledger=second, checkpoints=Checkpoints(path, key=KEY)
        )
    assert saved.seconds["train"] == saved.history[-1]["elapsed_s"] == result.history[1]["elapsed_s"]
    assert saved.seconds["train"] < first.seconds["train"]  # the third epoch was lost, and so is its time
    assert result.history[-1]["elapsed_s"] == second.seconds["train"] > saved.seconds["train"]
    assert second.carried_s == pytest.approx(sum(saved.seconds.values()))
    assert second.seconds["first_step"] > saved.seconds["first_step"]  # warming up again is paid, and is no training


def test_a_budget_in_seconds_goes_on_with_what_is_left(small: Dataset, tmp_path: Path) -> None:
    """On a clock on which a step takes a tenth of a second, 3 seconds are two epochs; the plan isn't measured anew."""
    path, now = tmp_path / "state", [0.0]

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            now[0] += 0.1 if self.training else 0.0
            return self.inner(images)

    spec = recipe(budget=Budget("seconds", 4.5), batch_size=200)  # of 1,600 images: 8 steps an epoch
    few = dataclasses.replace(small, train=small.train.select(torch.arange(1600)))
    with pytest.raises(KilledError):
        fit(
            Slow(), few, recipe=spec, device="cpu", ledger=Ledger(clock=lambda: now[0]), on_epoch=dies_after(4),
            checkpoints=Checkpoints(path, key=KEY, every_epochs=1),
        )  # fmt: skip
    saved = read_state(path, key=KEY)
    assert saved.num_steps == 24 and saved.planned_steps == 45 and saved.seconds["train"] == pytest.approx(2.4)
    ledger = Ledger(clock=lambda: now[0])
    result = fit(Slow(), few, recipe=spec, device="cpu", ledger=ledger, checkpoints=Checkpoints(path, key=KEY))
    assert result.num_steps == 45 and ledger.seconds["train"] == pytest.approx(4.5)
    assert ledger.seconds["first_step"] - saved.seconds["first_step"] < 2.0  # 16 steps of warm-up, none of timing


def a_state() -> TrainingState:
    epoch = EpochStats(
        epoch=1, train_loss=0.5, train_top1_pct=80.0, val_loss=None, val_top1_pct=None, lr=0.1, elapsed_s=1.5,
        num_steps=10, scheduled_steps=30,
    )  # fmt: skip
    return TrainingState(
        precision="bf16", engine="eager", history=(epoch,), num_steps=10, planned_steps=30, seconds={"train": 1.5},
        scaler={"scale": 65536.0}, about={"reason": None},
        tensors={"a": torch.randn(3, 2).bfloat16(), "b": torch.tensor(7), "random.cpu": torch.get_rng_state()},
    )  # fmt: skip


@pytest.fixture(scope="module")
def good_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("state") / "state"
    Checkpoints(path, key=KEY, every_epochs=1).save(a_state())
    return path.read_bytes()


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    path, state = tmp_path / "deep" / "state", a_state()
    Checkpoints(path, key=KEY, every_epochs=1).save(state)
    back = Checkpoints(path, key=KEY)
    assert back.problem is None and back.state is not None
    assert all(torch.equal(back.state.tensors[name], value) for name, value in state.tensors.items())
    assert dataclasses.replace(back.state, tensors={}) == dataclasses.replace(state, tensors={})


@settings(deadline=None)
@given(data=st.data())
def test_no_damaged_file_is_taken_for_a_state(
    good_file: bytes, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut short anywhere, or with any bit flipped: an error that says so, and nothing else."""
    position = data.draw(st.integers(0, len(good_file) - 1))
    flipped = bytearray(good_file)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.mktemp("state") / "state"
    for content in (good_file[:position], bytes(flipped)):
        path.write_bytes(content)
        checkpoints = Checkpoints(path, key=KEY)
        assert checkpoints.state is None and checkpoints.problem is not None and str(path) in checkpoints.problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged or not a checkpoint"),
        (b"\x80\x04\x95 a pickle", "damaged or not a checkpoint"),
        (json.dumps({"state": 1}).encode(), "damaged or not a checkpoint"),
        ("weights", "format is 'unknown'"),
        ("folder", "not a regular file"),
    ],
)
def test_what_is_no_checkpoint_is_named_and_the_training_begins_anew(
    content: Any, words: str, small: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "state"
    if content == "weights":
        save_file({"weight": torch.zeros(3)}, path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_bytes(content)
    spec = recipe(budget=Budget("epochs", 1))
    with pytest.warns(UserWarning, match=f"Checkpoint {path} can't be used.*{words}"):
        result = fit(model(), small, recipe=spec, device="cpu", checkpoints=Checkpoints(path, key=KEY))
    assert result.resumed_epochs is None and len(result.history) == 1


@pytest.mark.parametrize(
    ("key", "options", "words"),
    [
        ("another", {}, "belongs to another training"),
        (KEY, {"hidden": (16, 32)}, "model.* is .* in this training"),
        (KEY, {"norm": "none"}, "its tensors are not those of this training"),
    ],
)
def test_the_state_of_another_training_changes_nothing(
    key: str, options: dict[str, Any], words: str, small: Dataset, tmp_path: Path
) -> None:
    path, spec = tmp_path / "state", recipe(budget=Budget("epochs", 2))
    fit(model(), small, recipe=spec, device="cpu", checkpoints=Checkpoints(path, key=KEY, every_epochs=1))
    expected, again = model(**options), model(**options)
    fit(expected, small, recipe=spec, device="cpu")
    with pytest.warns(UserWarning, match=words):
        fit(again, small, recipe=spec, device="cpu", checkpoints=Checkpoints(path, key=key))
    assert all(torch.equal(a, b) for a, b in zip(everything(expected), everything(again), strict=True))


def test_saving_every_zeroth_epoch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every_epochs 0 must be at least 1"):
        Checkpoints(tmp_path / "state", key=KEY, every_epochs=0)
