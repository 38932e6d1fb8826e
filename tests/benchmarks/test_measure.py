"""The timing protocol on a fake clock: what is timed, what is not, and how often."""

import pytest

from benchmarks.measure import MAX_SAMPLES, MIN_SAMPLES, sample_rates


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
