"""The timing protocol on a fake clock: what is timed, what is not, and how often."""

import pytest
import torch

from benchmarks.measure import MAX_SAMPLES, MIN_SAMPLES, sample_rates, throughput
from fmnist_zoo import create_model, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.recipe import Budget, Recipe


class Machine:
    """Work that takes a known time on a clock that moves only with it; the first call takes long, as compiling does."""

    def __init__(self, seconds: float, *, queued: bool = False) -> None:
        self.now, self.calls, self.pending = 0.0, 0, 0.0
        self.seconds, self.queued = seconds, queued

    def work(self) -> int:
        self.calls += 1
        cost = 50.0 if self.calls == 1 else self.seconds
        if self.queued:
            self.pending += cost  # an accelerator: the call returns before the work is done
        else:
            self.now += cost
        return 100

    def synchronize(self) -> None:
        self.now += self.pending
        self.pending = 0.0

    def clock(self) -> float:
        return self.now

    def rates(self, limit_s: float = 1.0) -> list[float]:
        return sample_rates(self.work, self.synchronize, clock=self.clock, limit_s=limit_s)


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("seconds", [0.003, 0.04, 0.5])
def test_the_rate_is_that_of_the_steady_state(seconds: float, queued: bool) -> None:
    rates = Machine(seconds, queued=queued).rates()
    assert rates == pytest.approx([100 / seconds] * len(rates))


def test_slow_work_gets_the_fewest_samples_and_quick_work_no_more_than_the_most() -> None:
    assert len(Machine(2.0).rates()) == MIN_SAMPLES
    assert len(Machine(0.1).rates(limit_s=1000.0)) == MAX_SAMPLES


def test_short_work_is_repeated_within_a_sample() -> None:
    machine = Machine(0.001)
    rates = machine.rates(limit_s=0.0)
    assert len(rates) == MIN_SAMPLES
    assert machine.calls == pytest.approx(1 + MIN_SAMPLES * 100, abs=MIN_SAMPLES)


def test_training_is_measured_over_whole_epochs(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch's order is drawn once an epoch, as in training, and not once for every few steps that are timed."""
    recipe = Recipe(budget=Budget("epochs", 1), batch_size=100)
    result = fit(create_model("tutorial_mlp_128_64"), small, recipe=recipe, device="cpu")
    steps: list[int] = []
    draws: list[int] = []
    draw = result.loader._draw
    monkeypatch.setattr(result.loader, "_draw", lambda epoch: draws.append(epoch) or draw(epoch))
    monkeypatch.setattr(result, "step", Counting(result.step, steps))
    found = throughput(result, torch.device("cpu"))
    assert draws.pop() == 0  # the images that inference is measured on
    assert draws == list(range(len(draws)))
    assert 0 <= len(draws) - len(steps) / result.loader.steps_per_epoch <= 1 + 1e-9
    assert found["train_batch_size"] == 100 and len(found["train_samples_img_per_s"]) >= MIN_SAMPLES


class Counting:
    """Steps that note that they were taken."""

    def __init__(self, step: object, log: list[int]) -> None:
        self._step, self._log = step, log

    def __getattr__(self, name: str) -> object:
        return getattr(self._step, name)

    def chunk(self, images: object, labels: object, lrs: list[float]) -> object:
        self._log.extend([1] * len(lrs))
        return self._step.chunk(images, labels, lrs)  # type: ignore[attr-defined]
