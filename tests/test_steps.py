"""Steps within an epoch are told now and then, as the device has done them, and cost it nothing."""

from typing import Any

import pytest
import torch

from fmnist_zoo import create_model, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.history import StepStats
from fmnist_zoo.recipe import Augmentation, Budget, Recipe
from fmnist_zoo.training.fit import train_epoch
from fmnist_zoo.training.ledger import Ledger, StepWatch
from fmnist_zoo.training.step import TrainingStep
from tests.test_graph import FakeGraph

CPU = torch.device("cpu")


class Clock:
    """Seconds that pass only when told."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_hosts_steps_are_told_once_a_second() -> None:
    clock, told = Clock(), list[tuple[int, float]]()
    watch = StepWatch(CPU, lambda steps, seconds: told.append((steps, seconds)), clock=clock)
    for _ in range(25):
        clock.now_s += 0.125
        watch.step()
    watch.reached(25)
    watch.finish()
    assert told == [(8, 1.0), (16, 2.0), (24, 3.0)]


def test_an_epoch_that_is_over_soon_is_told_as_a_whole_only() -> None:
    watch = StepWatch(CPU, lambda steps, seconds: pytest.fail("nobody can read that fast"), clock=Clock())
    for _ in range(100):
        watch.step()
    watch.reached(100)
    watch.finish()


class Queue:
    """A device that is behind the host by as much as it is told, and its marks."""

    def __init__(self) -> None:
        self.num_marks, self.num_passed, self.waited_for = 0, 1, list[int]()

    def mark(self) -> "Place":
        self.num_marks += 1
        return Place(self, self.num_marks)


class Place:
    def __init__(self, queue: Queue, number: int) -> None:
        self.queue, self.number = queue, number

    def query(self) -> bool:
        return self.number <= self.queue.num_passed

    def synchronize(self) -> None:
        self.queue.waited_for.append(self.number)
        self.queue.num_passed = max(self.queue.num_passed, self.number)

    def elapsed_time(self, end_event: Any) -> float:
        assert self.query() and end_event.query(), "CUDA knows the time between marks that were passed alone"
        return 4000.0 * (end_event.number - self.number)


def test_of_a_device_that_is_behind_only_what_it_has_done_is_told() -> None:
    clock, queue, told = Clock(), Queue(), list[tuple[int, float]]()
    watch = StepWatch(CPU, lambda steps, seconds: told.append((steps, seconds)), clock=clock, mark=queue.mark)
    for steps in (16, 32, 48, 64):  # four chunks, queued faster than they are done
        clock.now_s += 1.0
        queue.num_passed += steps in (48, 64)
        watch.reached(steps)
    assert told == [(16, 4.0), (32, 8.0)] and not queue.waited_for
    clock.now_s += 1.0
    watch.finish()
    assert queue.waited_for == [4, 5] and told[2:] == [(48, 12.0)]


def test_a_training_tells_when_it_begins_and_each_step_if_there_is_time(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fmnist_zoo.training.ledger.TELL_S", 0.0)
    told, ledger, done = list[StepStats](), Ledger(), list[int]()
    result = fit(
        create_model("mlp", hidden=(32,)), small, recipe=Recipe(budget=Budget("epochs", 1), batch_size=100), seed=1,
        device="cpu", ledger=ledger, on_steps=told.append, on_epoch=lambda stats: done.append(len(told)),
    )  # fmt: skip
    first, *others = told
    assert (first["step"], first["epoch_steps"], first["scheduled_steps"], first["elapsed_s"]) == (0, 20, 20, 0.0)
    assert sorted({stats["step"] for stats in others}) == list(range(1, 21)) and done == [len(told)]
    assert all(stats["num_steps"] == stats["step"] and stats["epochs_done"] == 0 for stats in told)
    seconds = [stats["elapsed_s"] for stats in told]
    assert seconds == sorted(seconds) and 0 < seconds[-1] <= ledger.seconds["train"]
    assert result.num_steps == 20


def test_captured_steps_are_told_by_the_chunk(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fmnist_zoo.data.loader.CHUNK", 300)
    clock, told = Clock(), list[int]()
    step = TrainingStep(
        create_model("lstm", hidden=8), Recipe(budget=Budget("epochs", 1), batch_size=100),
        scale=PixelScale("unit", mean=0.3, std=0.35), precision="fp32", engine="graph", capture=FakeGraph,
    )  # fmt: skip
    loader = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    step.warm_up(loader.chunks(0, 2))

    def passing() -> float:
        clock.now_s += 1.0
        return clock.now_s

    train_epoch(
        step, loader, 0, done=40, total=47,
        watch=StepWatch(CPU, lambda steps, seconds: told.append(steps), clock=passing),
    )  # fmt: skip
    assert told == [3, 6, 7]
