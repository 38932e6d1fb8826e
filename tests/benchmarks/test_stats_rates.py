"""Intervals of rates over runs: against scipy and plain linear algebra, and by how often they cover."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.rates import PROCESS_VARIANCE, Deviation, Processes, Rate, deviation, rate, spread_pct

SWEEPS = 2000
RATE = st.floats(1e-2, 1e7)


def logs(*processes: list[float]) -> list[list[float]]:
    return [[math.log(value) for value in process] for process in processes]


def of_runs(processes: Processes) -> Rate:
    return rate(processes, deviation(processes))


def bounds(found: Rate) -> list[float]:
    values = [found.mean, found.low, found.high, found.next_low, found.next_high]
    return [value for value in values if value is not None]


@given(st.lists(RATE, min_size=2, max_size=12))
def test_runs_in_processes_of_their_own_have_the_textbooks_intervals(values: list[float]) -> None:
    found, ordinary = of_runs(logs(*([value] for value in values))), np.log(values)
    size, error = len(values), float(stats.sem(ordinary))
    assert found.mean == pytest.approx(stats.gmean(values))
    if error > 1e-9:
        of_mean, one_more = (
            stats.t.interval(0.95, size - 1, loc=ordinary.mean(), scale=error * times)
            for times in (1, math.sqrt(1 + size))
        )
        assert np.log(bounds(found)[1:]) == pytest.approx([*of_mean, *one_more], abs=1e-6)


def test_runs_that_share_processes_have_those_of_generalised_least_squares() -> None:
    processes = logs([100.0, 104.0, 99.0], [120.0], [90.0, 93.0])
    values, owner = np.concatenate(processes), np.repeat([0, 1, 2], [3, 1, 2])
    precision = np.linalg.inv(np.eye(6) + PROCESS_VARIANCE * (owner[:, None] == owner))
    mean = precision.sum(axis=0) @ values / precision.sum()
    left = values - mean
    spread = math.sqrt(left @ precision @ left / 5)
    half = stats.t.ppf(0.975, 5) * spread * math.sqrt(1 / precision.sum() + 1 + PROCESS_VARIANCE)
    found = of_runs(processes)
    assert (found.mean, found.next_low) == pytest.approx((math.exp(mean), math.exp(mean - half)))


@given(st.lists(st.lists(RATE, min_size=1, max_size=4), min_size=1, max_size=4), st.sampled_from([1e-3, 0.7, 1e3]))
def test_other_units_change_nothing_but_the_unit(processes: list[list[float]], factor: float) -> None:
    """Equivariance; hugely wide intervals end at the largest number that there is room for."""
    scaled = of_runs(logs(*([factor * value for value in process] for process in processes)))
    pairs = zip(bounds(scaled), bounds(of_runs(logs(*processes))), strict=True)
    assert all(one == pytest.approx(factor * other, rel=1e-6) for one, other in pairs if max(one, other) < 1e290)


@pytest.mark.parametrize("sizes", [(3,), (5,), (1, 1, 1), (3, 1, 2)], ids=str)
@pytest.mark.parametrize("of_arm", [(), (3, 3)], ids=["alone", "with other runs of the arm"])
def test_they_cover_as_often_as_they_say(sizes: tuple[int, ...], of_arm: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    process = 0.05 * math.sqrt(PROCESS_VARIANCE)

    def drawn(sizes: tuple[int, ...]) -> list[list[float]]:
        return [list(generator.normal(generator.normal(9.0, process), 0.05, size)) for size in sizes]

    of_mean = of_next = 0
    for _ in range(SWEEPS):
        own, (one_more,) = drawn(sizes), drawn((1,))
        found = rate(own, deviation([*own, *drawn(of_arm)]))
        assert found.low and found.high and found.next_low and found.next_high
        of_mean += found.low <= math.exp(9.0) <= found.high
        of_next += found.next_low <= math.exp(one_more[0]) <= found.next_high
    three_errors = 3 * math.sqrt(0.95 * 0.05 / SWEEPS)
    # Runs far from the others of their arm also widen their own interval: it is on the safe side.
    safe = 0.02 if of_arm else 0.0
    assert 0.95 - three_errors < of_mean / SWEEPS < 0.95 + safe + three_errors
    assert 0.95 - three_errors < of_next / SWEEPS < 0.95 + safe + three_errors


def test_runs_of_one_process_say_less_than_as_many_processes() -> None:
    values = [100.0, 102.0, 98.0]
    shared, apart = of_runs(logs(values)), of_runs(logs(*([value] for value in values)))
    assert shared.mean == pytest.approx(apart.mean)
    assert shared.next_low and apart.next_low and shared.next_low < apart.next_low
    assert shared.high and apart.high and shared.high > apart.high


def test_a_single_run_has_a_prediction_where_its_arm_is_known_and_else_nothing() -> None:
    assert deviation(logs([100.0])) is None
    alone, known = rate(logs([100.0]), None), rate(logs([100.0]), Deviation(0.05, 10))
    assert bounds(alone) == [pytest.approx(100.0)]
    assert known.low is known.high is None and known.next_low and known.next_high
    half = stats.t.ppf(0.975, 10) * 0.05 * math.sqrt(2 + 2 * PROCESS_VARIANCE)
    assert (known.next_low, known.next_high) == pytest.approx((100 * math.exp(-half), 100 * math.exp(half)))


def test_runs_lie_no_nearer_than_each_was_sampled() -> None:
    equal = logs([100.0, 100.0, 100.0])
    assert deviation(equal) == Deviation(0.0, 2)
    assert deviation(equal, spreads_pct=[1.0, 4.0, 9.0]) == Deviation(math.log1p(0.04) / 1.96, 2)


def test_the_spread_is_that_of_the_interval_of_the_median() -> None:
    assert spread_pct([100.0] * 6) == 0.0
    assert spread_pct([90.0, 99.0, 100.0, 100.0, 101.0, 104.0]) == pytest.approx(10.0)
    assert spread_pct([100.0] * 5) is None
