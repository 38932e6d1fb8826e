"""Comparing models: against worked examples, against scipy computed another way, and by what the verdict promises."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.stats.blocks import Blocks, holm
from benchmarks.stats.images import mcnemar, resampled_accuracy, simultaneous_intervals
from benchmarks.stats.letters import compact_letters
from benchmarks.stats.pairs import Run, compare_models
from benchmarks.stats.power import power_over_seeds, seeds_needed
from benchmarks.stats.simulation import World, simulate

TOP1 = st.floats(80, 95).map(lambda value: round(value, 2))


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


def test_the_blocked_variance_of_a_published_example() -> None:
    """Hardness of metal under four tips on four coupons: Montgomery, Design and Analysis of Experiments, table 4.2.

    In coded units (tenths) the sum of squares of the error is 8.00 with 9 degrees of freedom.
    """
    tips = {
        "1": by_seed([9.3, 9.4, 9.6, 10.0]),
        "2": by_seed([9.4, 9.3, 9.8, 9.9]),
        "3": by_seed([9.2, 9.4, 9.5, 9.7]),
        "4": by_seed([9.7, 9.6, 10.0, 10.2]),
    }
    blocks = Blocks(tips)
    assert blocks.degrees_of_freedom == 9
    assert blocks.variance == pytest.approx(0.08 / 9)
    contrast = blocks.contrast("4", "3")
    assert contrast is not None and contrast.low is not None and contrast.p_value is not None
    assert contrast.difference == pytest.approx(9.875 - 9.45)
    assert contrast.low == pytest.approx(0.425 - 2.262157 * np.sqrt(2 * 0.08 / 9 / 4), abs=1e-6)  # t(0.975; 9)


@given(st.lists(st.tuples(TOP1, TOP1), min_size=2, max_size=8), st.integers(0, 3))
def test_two_models_alone_are_a_paired_t_test_on_the_seeds_that_both_have(
    pairs: list[tuple[float, float]], extra: int
) -> None:
    first, second = np.array(pairs).T
    values = {"a": by_seed(first.tolist()), "b": by_seed(second.tolist())}
    values["a"] |= {100 + seed: 85.0 for seed in range(extra)}  # say nothing of the difference
    contrast = Blocks(values).contrast("a", "b")
    assert contrast is not None and contrast.p_value is not None
    assert contrast.difference == pytest.approx((first - second).mean(), abs=1e-8)
    if np.std(first - second) > 1e-3:
        assert contrast.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-5, abs=1e-12)


@given(st.data())
def test_missing_runs_are_dealt_with_as_least_squares_does(data: st.DataObject) -> None:
    grid = [(model, seed) for model in "abc" for seed in range(4)]
    kept = data.draw(st.lists(st.sampled_from(grid), min_size=6, unique=True))
    kept += [(model, 0) for model in "abc" if (model, 0) not in kept]  # one seed that joins all
    values = {model: {seed: data.draw(TOP1) for name, seed in kept if name == model} for model in "abc"}
    columns = [[model == "b", model == "c", *(seed == index for index in range(4))] for model, seed in kept]
    observed = [values[model][seed] for model, seed in kept]
    solution, *_ = np.linalg.lstsq(np.array(columns, dtype=float), np.array(observed), rcond=None)
    contrast = Blocks(values).contrast("b", "c")
    assert contrast is not None
    assert contrast.difference == pytest.approx(solution[0] - solution[1], abs=1e-7)


def test_models_that_no_seed_joins_have_no_difference() -> None:
    values = {"a": {0: 90.0, 1: 91.0}, "b": {2: 92.0, 3: 92.5}, "c": {0: 90.5, 1: 91.5}}
    blocks = Blocks(values)
    assert blocks.contrast("a", "b") is None
    assert blocks.contrast("a", "c") is not None
    comparison = compare_models(
        {name: {seed: Run(top1_pct=top1) for seed, top1 in runs.items()} for name, runs in values.items()}
    )
    assert [pair.adjusted_p is None for pair in comparison.pairs] == [True, False, True]
    assert comparison.letters is None


def test_runs_without_any_noise_differ_for_certain_or_not_at_all() -> None:
    same = Blocks({"a": by_seed([90.0, 91.0]), "b": by_seed([90.0, 91.0]), "c": by_seed([89.5, 90.5])})
    assert [same.contrast("a", other).p_value for other in "bc"] == [1.0, 0.0]  # type: ignore[union-attr]
    single = Blocks({"a": {0: 90.0}, "b": {0: 91.0}}).contrast("a", "b")
    assert (
        single is not None and single.difference == pytest.approx(-1) and single.p_value is None and single.low is None
    )
    with pytest.raises(ValueError, match="no value"):
        Blocks({"a": {}})


def test_holm_of_a_published_example() -> None:
    """Four hypotheses with p of 0.01, 0.04, 0.03 and 0.005, as in R's p.adjust(..., "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    for raw, adjusted in zip(p_values, holm(p_values), strict=True):
        assert raw <= adjusted <= min(1, len(p_values) * raw + 1e-12) or adjusted == max(holm(p_values))
    order = np.argsort(p_values)
    assert list(np.array(holm(p_values))[order]) == sorted(holm(p_values))


def test_mcnemar_counts_only_images_on_which_the_runs_differ() -> None:
    first = np.array([True] * 9 + [False] * 3 + [True] * 500)
    second = np.array([False] * 9 + [True] * 3 + [True] * 500)
    result = mcnemar(first, second)
    assert (result.only_first, result.only_second) == (9, 3)
    assert result.p_value == pytest.approx(2 * (1 + 12 + 66 + 220) / 4096)  # the binomial tail, by hand
    assert mcnemar(first, first).p_value == 1.0


def test_a_single_interval_over_images_is_the_bootstraps() -> None:
    generator = np.random.default_rng(1)
    answers = generator.random((2, 2000)) < np.array([[0.92], [0.9]])
    difference = 100 * (answers[0].mean() - answers[1].mean())
    resampled = resampled_accuracy(answers)
    (interval,) = simultaneous_intervals([difference], resampled[:, :1] - resampled[:, 1:])
    gaps = 100 * (answers[0].astype(float) - answers[1])
    other = stats.bootstrap((gaps,), np.mean, n_resamples=4000, method="basic", rng=2).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((other.low, other.high), abs=0.12)
    assert interval.critical == pytest.approx(1.96, abs=0.1)


def test_intervals_over_images_hold_together() -> None:
    """Of five models that are equal over all images, no pair's interval leaves out 0 in some 95% of test sets."""
    generator = np.random.default_rng(0)
    wrong = 0
    for _ in range(300):
        answers = generator.random((5, 500)) < 0.9
        resampled, accuracy = resampled_accuracy(answers), 100 * answers.mean(axis=1)
        pairs = list(itertools.combinations(range(5), 2))
        found = simultaneous_intervals(
            [accuracy[one] - accuracy[other] for one, other in pairs],
            np.stack([resampled[:, one] - resampled[:, other] for one, other in pairs], axis=1),
        )
        wrong += any(interval.excludes_zero for interval in found)
    assert 3 <= wrong <= 28  # 15 expected, three standard errors around


@st.composite
def names_and_differences(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    names = [f"m{index}" for index in range(draw(st.integers(1, 8)))]
    return names, [pair for pair in itertools.combinations(names, 2) if draw(st.booleans())]


@given(names_and_differences())
def test_two_share_a_letter_if_and_only_if_they_do_not_differ(case: tuple[list[str], list[tuple[str, str]]]) -> None:
    names, different = case
    letters = compact_letters(names, different)
    for one, other in itertools.combinations(names, 2):
        assert bool(set(letters[one]) & set(letters[other])) == ((one, other) not in different)
    groups = [{name for name in names if letter in letters[name]} for letter in set("".join(letters.values()))]
    assert not any(one < other for one in groups for other in groups)  # no letter that says nothing
    assert letters[names[0]].startswith("a")


def test_letters_of_a_worked_example() -> None:
    """B and C differ, A is between them: the first example of R's package multcompView."""
    assert compact_letters(["A", "B", "C"], [("C", "B")]) == {"A": "ab", "B": "a", "C": "b"}
    assert compact_letters([], []) == {}
    many = [f"m{index:02d}" for index in range(30)]
    letters = compact_letters(many, list(itertools.combinations(many, 2)))
    assert letters["m25"] == "z" and letters["m26"] == "a2"
    with pytest.raises(ValueError, match="is no pair of"):
        compact_letters(["A"], [("A", "B")])


def test_power_of_a_published_example() -> None:
    """R's power.t.test(n = 20, delta = 1, sd = 1) is 0.8689528: 38 degrees of freedom, as three models have here."""
    assert power_over_seeds(1, deviation=1, num_seeds=20, num_models=3) == pytest.approx(0.8689528, abs=1e-6)
    grid = [(0.2, 3, 5), (0.5, 5, 3), (0.1, 40, 2), (0.0, 5, 5)]
    for difference, num_seeds, num_models in grid:  # where scipy's noncentral t has a value
        freedom = (num_models - 1) * (num_seeds - 1)
        shift, critical = difference / (0.2 * np.sqrt(2 / num_seeds)), stats.t.ppf(0.995, freedom)
        expected = stats.nct.sf(critical, freedom, shift) + stats.nct.cdf(-critical, freedom, shift)
        power = power_over_seeds(difference, deviation=0.2, num_seeds=num_seeds, num_models=num_models, alpha=0.01)
        assert power == pytest.approx(expected, abs=1e-5)
    assert power_over_seeds(0.3, deviation=0.2, num_seeds=900, num_models=5) == pytest.approx(1)
    with pytest.raises(ValueError, match="num_seeds=1"):
        power_over_seeds(1, deviation=1, num_seeds=1)


def test_seeds_needed_are_the_fewest_that_have_the_power() -> None:
    needed = seeds_needed(0.3, deviation=0.2, num_models=5, num_pairs=10)
    assert needed is not None

    def power(num_seeds: int) -> float:
        return power_over_seeds(0.3, deviation=0.2, num_seeds=num_seeds, num_models=5, alpha=0.005)

    assert power(needed) >= 0.8 > power(needed - 1)
    assert seeds_needed(0.0, deviation=0.2, num_models=5, num_pairs=10) is None
    assert seeds_needed(0.3, deviation=0.2, num_models=5, num_pairs=10, enough_images=lambda seeds: False) is None
    more = seeds_needed(0.3, deviation=0.2, num_models=5, num_pairs=10, enough_images=lambda seeds: seeds >= 90)
    assert more == 90


def made_up(ahead_pct: float, **changes: float) -> dict[str, dict[int, Run]]:
    return World(**changes).sweep(np.random.default_rng(3), ahead_pct=ahead_pct)  # type: ignore[arg-type]


def test_a_large_difference_is_found_and_lettered() -> None:
    comparison = compare_models(made_up(2.0))
    assert comparison.letters is not None
    assert comparison.letters["m0"] == "a" and {comparison.letters[f"m{index}"] for index in range(1, 5)} == {"b"}
    assert [pair.differs for pair in comparison.pairs] == [True] * 4 + [False] * 6


def test_single_seeds_have_mcnemar_and_no_verdict() -> None:
    comparison = compare_models(made_up(2.0, num_seeds=1))
    assert comparison.letters is None and comparison.deviation is None
    for pair in comparison.pairs:
        assert pair.differs is None and pair.adjusted_p is None
        assert pair.mcnemar_adjusted_p is not None and pair.over_images is not None


def test_missing_answers_take_only_what_depends_on_them() -> None:
    models = made_up(2.0)
    models["m1"][3] = Run(top1_pct=models["m1"][3].top1_pct)
    comparison = compare_models(models)
    for pair in comparison.pairs:
        assert pair.adjusted_p is not None
        assert (pair.over_images is None) == (pair.differs is None) == ("m1" in (pair.first, pair.second))
    assert comparison.letters is None


def test_runs_on_different_test_sets_are_refused() -> None:
    models = made_up(0.0, num_seeds=2)
    models["m1"][1] = Run(top1_pct=90.0, answers=np.ones(77, dtype=bool))
    with pytest.raises(ValueError, match=r"tested on \[77, 10000\] images"):
        compare_models(models)


def test_more_seeds_are_promised_only_where_the_test_images_allow_it() -> None:
    """With models that err on the same images many seeds tell a small difference; with others no number does."""
    alike = compare_models(made_up(0.25, image_and_model=0.0)).pairs[0]
    assert alike.differs is False and alike.num_seeds_needed is not None and alike.num_seeds_needed > 5
    unlike = next(pair for pair in compare_models(made_up(0.1, image_and_model=3.0)).pairs if pair.differs is False)
    assert unlike.num_seeds_needed is None
    assert unlike.image_error_floor is not None and unlike.image_error_floor > 0.1


@pytest.mark.slow
def test_where_nothing_differs_the_verdict_is_seldom_wrong() -> None:
    outcome = simulate(num_sweeps=2000, world=World(num_images=2_500))
    assert outcome.num_wrong <= 130  # 5% are 100; three standard errors more are 129
    # What the seeds alone would say holds for these test images only, and is wrong of others in many more sweeps.
    assert outcome.num_wrong_by_seeds > 500


@pytest.mark.slow
def test_half_a_point_is_found_about_as_often_as_the_documentation_says() -> None:
    outcome = simulate(num_sweeps=150, ahead_pct=0.5, seed=1)
    assert outcome.power is not None and 0.38 < outcome.power < 0.6
    assert simulate(num_sweeps=10, ahead_pct=1.5).power == 1.0
