"""The timing protocol on a fake clock: what is timed, what is not, and how often."""

import itertools

import pytest
import torch

from benchmarks.measure.clock import (
    MAX_SAMPLES,
    MIN_SAMPLES,
    SAMPLE_S,
    is_narrow,
    sample_rates,
    stopwatch,
    timed_by_clock,
)


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
        timed = timed_by_clock(self.synchronize, self.clock)
        return sample_rates(self.work, timed, clock=self.clock, limit_s=limit_s)


@pytest.mark.parametrize("queued", [False, True])
@pytest.mark.parametrize("seconds", [0.003, 0.04, 0.5])
def test_the_rate_is_that_of_the_steady_state(seconds: float, queued: bool) -> None:
    rates = Machine(seconds, queued=queued).rates()
    assert rates == pytest.approx([100 / seconds] * len(rates))


def test_a_steady_machine_needs_the_fewest_samples() -> None:
    machine = Machine(0.1)
    assert len(machine.rates(limit_s=1000.0)) == MIN_SAMPLES
    assert machine.calls == 1 + MIN_SAMPLES


def test_a_noisy_machine_is_sampled_until_the_median_is_known() -> None:
    machine, pace = Machine(0.1), itertools.cycle([0.2, 0.26, 0.24, 0.2, 0.2, 0.2, 0.2])

    def work() -> int:
        machine.seconds = next(pace)
        return machine.work()

    timed = timed_by_clock(machine.synchronize, machine.clock)
    rates = sample_rates(work, timed, clock=machine.clock, limit_s=1000.0)
    assert MIN_SAMPLES < len(rates) < MAX_SAMPLES
    assert is_narrow(rates) and not is_narrow(rates[:-1])


def test_the_time_limit_ends_what_stays_noisy_and_keeps_every_sample() -> None:
    machine, pace = Machine(0.1), itertools.cycle([0.2, 0.5])

    def rates(limit_s: float) -> list[float]:
        def work() -> int:
            machine.seconds = next(pace)
            return machine.work()

        return sample_rates(
            work, timed_by_clock(machine.synchronize, machine.clock), clock=machine.clock, limit_s=limit_s
        )

    assert len(rates(0.0)) == MIN_SAMPLES
    assert MIN_SAMPLES < len(rates(5.0)) < MAX_SAMPLES
    assert len(rates(1000.0)) == MAX_SAMPLES and not is_narrow(rates(1000.0))


def test_what_is_very_slow_is_sampled_until_overtime_and_not_until_there_are_enough() -> None:
    machine = Machine(3.0)
    assert (
        len(machine.rates(limit_s=1.0)) == 2 < MIN_SAMPLES
    )  # begun at 0 and 3 s; 1 s and 4 s of overtime are over at 6
    assert len(Machine(60.0).rates(limit_s=1.0)) == 1
    assert len(Machine(0.5).rates(limit_s=1.0)) == MIN_SAMPLES


def test_short_work_is_repeated_within_a_sample() -> None:
    machine = Machine(0.001)
    rates = machine.rates(limit_s=0.0)
    assert len(rates) == MIN_SAMPLES
    # 128 calls are the first power of two that takes long enough; shorter tries aren't counted.
    assert machine.calls == 1 + (1 + 2 + 4 + 8 + 16 + 32 + 64) + MIN_SAMPLES * 128 and SAMPLE_S <= 128 * 0.001


def test_few_samples_are_never_narrow() -> None:
    assert not is_narrow([1.0] * (MIN_SAMPLES - 1)) and is_narrow([1.0] * MIN_SAMPLES)


def test_the_stopwatch_of_a_cpu_reads_the_given_clock() -> None:
    ticks = iter([10.0, 12.5])
    assert stopwatch(torch.device("cpu"), clock=lambda: next(ticks))(lambda: None) == 2.5
