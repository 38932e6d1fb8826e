"""Fronts, time to accuracy and calibration: by hand, by brute force, and against scipy and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.calibration import calibration_curve

from benchmarks.stats.calibration import expected_calibration_error, reliability
from benchmarks.stats.fronts import PricedRun, front_places, pareto_front
from benchmarks.stats.targets import effort

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=8)


@given(POINTS)
def test_the_front_is_what_no_other_beats(points: list[tuple[int, int]]) -> None:
    accuracy, cost = (np.array(values, dtype=float) for values in zip(*points, strict=True))
    for mine, on_front in zip(points, pareto_front(accuracy, cost), strict=True):
        beaten = any(other[0] >= mine[0] and other[1] <= mine[1] and other != mine for other in points)
        assert on_front == (not beaten)


def priced(top1_pct: float, cost: float, seeds: int = 3) -> list[PricedRun]:
    return [PricedRun(seed=seed, top1_pct=top1_pct + 0.1 * seed, cost=cost) for seed in range(seeds)]


def test_a_place_on_the_front_is_as_sure_as_the_runs_make_it() -> None:
    places = front_places([priced(92, 10), priced(90, 5), priced(89, 7), priced(92.01, 20)])
    assert [place.on_front for place in places] == [True, True, False, True]
    # the same seeds are drawn for all models, so the last is ahead of the first in every resample
    assert [place.probability for place in places] == [1.0, 1.0, 0.0, 1.0]
    uneven = front_places([priced(92, 10), priced(92.01, 20, seeds=4)])
    assert uneven[0].probability == 1.0 and uneven[1].probability is not None and 0.3 < uneven[1].probability < 0.99


def test_single_runs_have_no_probability_unless_their_answers_are_known() -> None:
    assert [place.probability for place in front_places([priced(92, 10, seeds=1), priced(91, 5, seeds=1)])] == [
        None
    ] * 2
    answers = np.random.default_rng(0).random((2, 1000)) < np.array([[0.905], [0.9]])
    runs = [
        [PricedRun(seed=0, top1_pct=100 * float(right.mean()), cost=cost, answers=right)]
        for right, cost in zip(answers, (20.0, 10.0), strict=True)
    ]
    dear, cheap = front_places(runs)
    assert cheap.probability == 1.0
    assert dear.probability is not None and 0.02 < dear.probability < 0.98


def test_misses_are_neither_left_out_nor_taken_for_their_end() -> None:
    whole = effort([3.0, 5.0, 4.0], [9.0, 9.0, 9.0])
    assert (whole.num_hits, whole.median, whole.more_than) == (3, 4.0, None)
    some = effort([3.0, None, 4.0], [9.0, 9.0, 9.0])
    assert (some.num_hits, some.num_runs, some.median) == (2, 3, 4.0)  # 3, 4, later: not 3.5
    few = effort([3.0, None, None], [9.0, 8.0, 9.0])
    assert (few.num_hits, few.median, few.more_than) == (1, None, 8.0)
    half = effort([3.0, None], [9.0, 9.0])
    assert half.median is None
    with pytest.raises(ValueError, match="1 and 2 values"):
        effort([1.0], [1.0, 2.0])


@given(st.lists(st.one_of(st.none(), st.floats(1, 9)), min_size=1, max_size=9).filter(lambda values: len(values) % 2))
def test_the_median_is_kaplan_and_meiers(reached: list[float | None]) -> None:
    result = effort(reached, [10.0] * len(reached))
    if result.median is not None:
        data = stats.CensoredData.right_censored(
            [10.0 if value is None else value for value in reached], [value is None for value in reached]
        )
        survival = stats.ecdf(data).sf
        first = survival.quantiles[np.flatnonzero(survival.probabilities <= 0.5 + 1e-12)[0]]
        assert result.median == pytest.approx(first)


def test_calibration_of_a_worked_example() -> None:
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, True])
    bins = reliability(correct, confidence, num_bins=10)
    assert [group.num_images for group in bins] == [0, 0, 0, 0, 0, 2, 0, 0, 0, 4]
    assert bins[0].accuracy is None and bins[9].accuracy == 0.75
    assert expected_calibration_error(bins) == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.45)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=60), st.integers(2, 20))
def test_bins_are_scikit_learns(images: list[tuple[bool, float]], num_bins: int) -> None:
    correct, confidence = np.array([right for right, _ in images]), np.array([sure for _, sure in images])
    accuracy, sure = calibration_curve(correct, confidence, n_bins=num_bins, strategy="uniform")
    filled = [group for group in reliability(correct, confidence, num_bins=num_bins) if group.num_images]
    assert [group.accuracy for group in filled] == pytest.approx(list(accuracy))
    assert [group.mean_confidence for group in filled] == pytest.approx(list(sure))


def test_nonsense_has_no_calibration() -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        reliability(np.array([True]), np.array([1.5]))
    with pytest.raises(ValueError, match="one of each"):
        reliability(np.array([], dtype=bool), np.array([]))
