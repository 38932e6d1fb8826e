"""The verdicts of the regression gate: by hand, against scipy, as properties, and in simulations of known truth."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.gate_simulation import DRIFT, Gate, simulate_gate, table
from benchmarks.stats.regressions import (
    Loss,
    answers_loss,
    counts_loss,
    drift,
    mean_loss,
    paired_losses,
    ratio_loss,
    verdicts,
)

LIMIT = -math.log(0.95)
LOGS = st.lists(st.floats(-1, 1), min_size=2, max_size=6)
SPREAD = LOGS.filter(lambda values: float(np.std(values)) > 1e-3)


def verdict(loss: Loss, limit: float = LIMIT) -> str:
    return verdicts([loss], [limit])[0][0]


@given(SPREAD)
def test_a_paired_loss_is_a_t_test_against_the_limit(changes: list[float]) -> None:
    (loss,) = paired_losses([changes]) or [Loss(math.nan)]
    assert loss.chance_beyond(0.3) == pytest.approx(stats.ttest_1samp(changes, -0.3, alternative="less").pvalue)
    low, high = stats.ttest_1samp(changes, 0).confidence_interval(0.9)
    assert loss.interval() == pytest.approx((-high, -low))


@given(SPREAD, SPREAD)
def test_a_ratio_is_students_t_test_of_two_samples(before: list[float], now: list[float]) -> None:
    between = drift([before, now])
    expected = stats.ttest_ind(before, np.asarray(now) + LIMIT, alternative="greater").pvalue
    assert ratio_loss(before, now, between).chance_beyond(LIMIT) == pytest.approx(expected)


@given(LOGS, LOGS, st.lists(LOGS, max_size=2), st.floats(-5, 5))
def test_in_other_units_the_verdict_is_the_same(
    before: list[float], now: list[float], others: list[list[float]], factor: float
) -> None:
    def judged(shift: float) -> tuple[float, float | None]:
        moved = [[value + shift for value in group] for group in (before, now)]
        loss = ratio_loss(*moved, drift([*moved, *others]))  # type: ignore[arg-type]
        return loss.amount, loss.chance_beyond(LIMIT)

    assert judged(factor) == pytest.approx(judged(0.0), abs=1e-6)


AMOUNTS, ERRORS = st.floats(-0.5, 0.5), st.floats(1e-6, 1)
FREEDOMS = st.one_of(st.integers(1, 40), st.just(math.inf))


@given(AMOUNTS, ERRORS, FREEDOMS, st.floats(1, 10))
def test_more_noise_decides_nothing_that_less_noise_left_open(
    amount: float, error: float, freedom: float, factor: float
) -> None:
    before, after = (verdict(Loss(amount, error * more, freedom)) for more in (1, factor))
    assert after in (before, "not decided")
    assert verdict(Loss(amount)) == "not decided"  # of noise that isn't known


@given(AMOUNTS, ERRORS, FREEDOMS, st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_a_larger_limit_and_a_smaller_loss_are_never_worse(
    amount: float, error: float, freedom: float, one: float, other: float
) -> None:
    order = ("regressed", "not decided", "held")
    by_limit = [order.index(verdict(Loss(amount, error, freedom), limit)) for limit in sorted((one, other))]
    by_loss = [order.index(verdict(Loss(amount + more, error, freedom))) for more in sorted((one, other), reverse=True)]
    assert by_limit == sorted(by_limit) and by_loss == sorted(by_loss)


@given(st.lists(st.tuples(AMOUNTS, ERRORS), min_size=1, max_size=6))
def test_other_rows_never_turn_a_verdict_into_a_regression_nor_touch_what_is_held(
    rows: list[tuple[float, float]],
) -> None:
    losses = [Loss(amount, error, 5) for amount, error in rows]
    for loss, (together, p_value) in zip(losses, verdicts(losses, [LIMIT] * len(losses)), strict=True):
        alone = verdict(loss)
        assert together == alone or (alone, together) == ("regressed", "not decided")
        assert (p_value is not None and p_value < 0.05) == (together == "regressed")


def test_without_any_noise_a_loss_is_within_the_limit_or_beyond() -> None:
    assert [verdict(Loss(amount, 0.0, 2)) for amount in (0.0, 0.04, LIMIT, 0.06)] == [
        "held", "held", "not decided", "regressed",
    ]  # fmt: skip


def test_noise_is_pooled_within_groups_alone() -> None:
    assert drift([[1.0], [5.0], []]) is None and paired_losses([[0.1], [0.2]]) is None
    found = drift([[1.0, 3.0], [10.0, 10.0, 10.0], [5.0]])
    assert found == (pytest.approx(math.sqrt(2 / 3)), 3)
    loss = ratio_loss([2.0], [1.0, 1.0], found)
    assert (loss.amount, loss.error, loss.freedom) == (1.0, pytest.approx(math.sqrt(2 / 3 * 1.5)), 3)
    mean = mean_loss([Loss(1.0, 0.3, 4), Loss(0.0, 0.4, 9)])
    assert (mean.amount, mean.error, mean.freedom) == (0.5, pytest.approx(0.25), 4)
    assert mean_loss([Loss(1.0), Loss(0.0, 0.4, 9)]).error is None


def test_single_runs_are_as_sure_as_their_images() -> None:
    before, after = np.array([True] * 9 + [False] * 3), np.array([True] * 6 + [False] * 6)
    loss = answers_loss(before, after)
    assert loss.amount == pytest.approx(25.0)
    differences = before.astype(float) - after
    assert loss.error == pytest.approx(100 * differences.std() / math.sqrt(12))
    assert answers_loss(before, before) == Loss(0.0, 0.0)
    unpaired = counts_loss(9250, 9190, 10_000)
    assert unpaired.amount == pytest.approx(0.6)
    assert unpaired.error == pytest.approx(100 * math.sqrt(2 * 0.922 * 0.078 / 10_000))


def most(share: float, trials: int) -> float:
    """So many in the trials are compatible with a share."""
    return trials * share + 3 * math.sqrt(trials * share * (1 - share))


WORLDS = [Gate(), Gate(num_processes=1, num_runs=3), Gate(two_speeds=True), Gate(num_checked=0, num_runs=2)]


@pytest.mark.parametrize("gate", WORLDS, ids=["three runs", "one process", "two speeds", "no check"])
@pytest.mark.parametrize("slowed", [("mlp",), tuple(DRIFT)], ids=["one", "all"])
def test_what_is_slower_than_the_limit_is_seldom_held_and_equals_seldom_fail(gate: Gate, slowed: Sequence[str]) -> None:
    same = simulate_gate(slowdown_pct=0, slowed=slowed, num_repetitions=300, gate=gate, seed=1)
    assert same["fails"] <= most(0.05, 300)
    found = []
    for slowdown_pct in (5, 30):
        one = simulate_gate(slowdown_pct=slowdown_pct, slowed=slowed, num_repetitions=300, gate=gate, seed=2)
        # Rows are the trials, and those of one comparison are drawn independently.
        assert one["held"] <= most(0.05, 300 * 2 * len(slowed)) and one["false alarm"] <= most(0.05, 300)
        assert one["regressed"] + one["not decided"] + one["held"] == 300 * 2 * len(slowed)
        found.append(one)
    assert found[0]["fails"] <= most(0.05, 300)  # at the limit, and not beyond it
    assert found[1]["fails"] > found[0]["fails"] and found[1]["held"] <= found[0]["held"]


def test_in_little_noise_slowdowns_are_found_and_equals_held() -> None:
    quiet = Gate(drift={"mlp": ((0.005, 0.005), (0.005, 0.005)), "cnn": ((0.005, 0.005), (0.005, 0.005))})
    slow = simulate_gate(slowdown_pct=10, slowed=("mlp",), num_repetitions=100, gate=quiet)
    assert slow["regressed"] > 195 and slow["fails"] == 100 and slow["false alarm"] == 0
    assert simulate_gate(slowdown_pct=0, slowed=("mlp",), num_repetitions=100, gate=quiet)["held"] > 195


def test_the_command_prints_every_slowdown() -> None:
    lines = list(table(num_repetitions=2))
    assert len(lines) == 2 + 4 * (5 + 4 + 4) and len({line.count("|") for line in lines}) == 1
