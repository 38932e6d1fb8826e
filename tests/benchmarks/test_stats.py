"""Intervals against published examples, against scipy computed another way, and by what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.intervals import mean_t_interval, median_interval, paired_ratio, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # R. G. Newcombe (1998), Two-sided confidence intervals for the single proportion, Statistics in Medicine 17:
    # table I, method 3 (score, without continuity correction)
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_of_published_examples(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 20_000).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_wilson_interval_solves_the_score_equation(counts: tuple[int, int]) -> None:
    successes, trials = counts
    share, z = successes / trials, stats.norm.ppf(0.975)
    for bound in wilson_interval(successes, trials):
        assert (share - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / trials, rel=1e-6, abs=1e-12)


def test_t_interval_of_a_worked_example() -> None:
    # mean 30, standard deviation sqrt(250), t(0.975; 4) = 2.776445 from any table: half a width of 19.6324
    assert mean_t_interval([10, 20, 30, 40, 50]) == pytest.approx((30 - 19.6324, 30 + 19.6324), abs=1e-4)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.sampled_from([0.8, 0.95, 0.99]))
def test_t_interval_is_scipys(values: list[float], level: float) -> None:
    low, high = mean_t_interval(values, level=level)
    test = stats.ttest_1samp(values, 0.0) if np.std(values) > 1e-6 else None
    if test is not None:
        assert (low, high) == pytest.approx(tuple(test.confidence_interval(level)), rel=1e-6, abs=1e-6)
    assert low <= high


def test_t_interval_covers_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).normal(92.0, 0.2, size=(2000, 3))
    covered = sum(low <= 92.0 <= high for low, high in (mean_t_interval(sample.tolist()) for sample in samples))
    assert 0.935 < covered / 2000 < 0.965  # three standard errors around 0.95


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert mean_t_interval([91.5, 91.5, 91.5]) == (91.5, 91.5)


@pytest.mark.parametrize("values", [[], [92.0]], ids=["none", "one"])
def test_one_value_has_no_t_interval(values: list[float]) -> None:
    with pytest.raises(ValueError, match="needs 2 or more values"):
        mean_t_interval(values)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 10), (11, 10)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"successes={successes}, trials={trials}"):
        wilson_interval(successes, trials)


def test_median_interval_of_a_published_table() -> None:
    """Signs: of 25 values the 8th and the 18th bound the median at 95.67% (Conover, Practical Statistics)."""
    assert median_interval([float(value) for value in range(1, 26)]) == (8.0, 18.0)
    assert median_interval([1.0] * 5) is None  # 2 * 0.5 ** 5 = 6.25%
    assert median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0]) == (1.0, 6.0)


def test_median_interval_covers_the_median_of_a_skewed_distribution() -> None:
    generator = np.random.default_rng(0)
    for size in (6, 10, 15, 30):
        samples = generator.exponential(size=(4000, size))
        found = [median_interval(list(row)) for row in samples]
        share = np.mean([low <= np.log(2) <= high for low, high in filter(None, found)])
        assert 0.945 <= share <= 0.99, size


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    pace = np.geomspace(1, 3, 12)
    ratio = paired_ratio(list(0.5 * pace), list(pace))
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((2, 2, 2)) and ratio.differs


def test_too_few_rounds_have_no_interval_and_nonsense_is_refused() -> None:
    ratio = paired_ratio([1.0, 1.0], [2.0, 2.2])
    assert ratio.median == pytest.approx(2.1) and ratio.low is ratio.high is None and not ratio.differs
    with pytest.raises(ValueError, match="3 and 1 samples"):
        paired_ratio([1.0, 2.0, 3.0], [1.0])
    with pytest.raises(ValueError, match="above 0"):
        paired_ratio([0.0], [1.0])
