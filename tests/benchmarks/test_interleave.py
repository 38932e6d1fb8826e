"""Arms in turn: the order, what is inside a sample, and that what both arms suffer is no difference."""

from collections.abc import Callable

import pytest

from benchmarks.measure.clock import timed_by_clock
from benchmarks.measure.interleave import NUM_ROUNDS, orders, timed_rounds
from benchmarks.stats.intervals import median_interval, paired_ratio


class FakeClock:
    """A machine on which work takes as long as it is told to, and finishes only when waited for."""

    def __init__(self) -> None:
        self.now_s, self.queued_s = 100.0, 0.0
        self.done: list[str] = []

    def work(self, name: str, seconds: Callable[[float], float]) -> Callable[[], None]:
        def run() -> None:
            self.done.append(name)
            self.queued_s += seconds(self.now_s)

        return run

    def wait(self) -> None:
        self.now_s += self.queued_s
        self.queued_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_order_is_reversed_after_every_round() -> None:
    assert list(orders(["a", "b", "c"], 3)) == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_each_arm_has_a_sample_a_round_and_none_is_always_second() -> None:
    clock = FakeClock()
    arms = {"a": clock.work("a", lambda _: 0.25), "b": clock.work("b", lambda _: 0.5)}
    found = timed_rounds(arms, timed_by_clock(clock.wait, clock), num_rounds=4)
    assert "".join(clock.done) == "abbaabba"
    assert found == {"a": [0.25] * 4, "b": [0.5] * 4}


def test_what_is_queued_before_a_sample_is_not_in_it() -> None:
    clock = FakeClock()
    clock.work("left over", lambda _: 7.0)()
    found = timed_rounds({"a": clock.work("a", lambda _: 0.25)}, timed_by_clock(clock.wait, clock), num_rounds=1)
    assert found == {"a": [0.25]}


def test_a_machine_that_slows_down_makes_no_difference_between_arms() -> None:
    clock = FakeClock()

    def slowing(now_s: float) -> float:
        return 0.02 * (1 + 0.2 * (now_s - 100.0))  # 12% slower at the end than at the beginning

    found = timed_rounds({name: clock.work(name, slowing) for name in "ab"}, timed_by_clock(clock.wait, clock))
    assert found["a"][-1] > 1.1 * found["a"][0]
    ratio = paired_ratio(found["a"], found["b"])
    assert ratio.median == pytest.approx(1.0, abs=0.005) and not ratio.differs


def test_the_interval_of_a_comparison_leaves_four_rounds_on_either_side() -> None:
    ordered = [float(number) for number in range(1, NUM_ROUNDS + 1)]
    assert median_interval(ordered) == (5.0, NUM_ROUNDS - 4.0)
