"""Recipes, budgets and augmentation: what is accepted, how it is written, what the schedule does."""

import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_zoo.recipe import Augmentation, Budget, Recipe
from fmnist_zoo.training.schedule import lr_at

budgets = st.one_of(
    st.integers(1, 10_000).map(lambda n: Budget("epochs", n)),
    st.builds(Budget, st.sampled_from(["seconds", "flops"]), st.floats(1e-3, 1e18)),
)
augmentations = st.builds(
    Augmentation,
    shift=st.integers(0, 8),
    flip=st.booleans(),
    erase=st.floats(0, 1),
)


@given(budgets)
def test_budgets_read_back(budget: Budget) -> None:
    assert Budget.parse(str(budget)) == budget


@given(augmentations)
def test_augmentations_read_back(augmentation: Augmentation) -> None:
    assert Augmentation.parse(str(augmentation)) == augmentation


@given(budgets, augmentations, st.sampled_from(["sgd", "adamw"]), st.one_of(st.none(), st.floats(0.5, 0.999)))
def test_recipes_read_back(budget: Budget, augmentation: Augmentation, optimizer: str, decay: float | None) -> None:
    recipe = Recipe(budget=budget, augmentation=augmentation, optimizer=optimizer, ema_decay=decay)  # type: ignore[arg-type]
    assert Recipe.from_dict(recipe.as_dict()) == recipe


@given(st.text(max_size=12))
def test_any_text_that_is_taken_for_a_budget_reads_back(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert Budget.parse(str(Budget.parse(text))) == Budget.parse(text)


@given(st.text(max_size=12))
def test_any_text_that_is_taken_for_an_augmentation_reads_back(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert Augmentation.parse(str(Augmentation.parse(text))) == Augmentation.parse(text)


@pytest.mark.parametrize(
    "text", ["5", "epochs", "epochs:", "epochs:x", "hours:3", "epochs:0", "epochs:-1", "seconds:nan"]
)
def test_bad_budgets(text: str) -> None:
    with pytest.raises(ValueError, match=f"budget '?{re.escape(text)}'?( |: the amount must be a positive number)"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["epochs:1.5", "seconds:inf"])
def test_budgets_that_make_no_sense_say_why(text: str) -> None:
    with pytest.raises(ValueError, match="whole number|positive"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["flip,flip", "rotate", "shift:9", "erase:2", "flip:1", "shift:x", "", "none,flip"])
def test_bad_augmentations(text: str) -> None:
    with pytest.raises(ValueError, match="augmentation"):
        Augmentation.parse(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("batch_size", 0),
        ("lr", -1.0),
        ("lr", math.nan),
        ("momentum", 1.0),
        ("label_smoothing", 1.0),
        ("lr_warmup_fraction", 1.0),
        ("ema_decay", 1.0),
        ("clip_grad_norm", math.inf),
        ("optimizer", "lion"),
        ("schedule", "linear"),
        ("loss", "mse"),
        ("input_scaling", "raw"),
    ],
)
def test_bad_fields_are_named_with_their_value(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Recipe(**{field: value})  # type: ignore[arg-type]


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="learning_rate"):
        Recipe.from_dict({"learning_rate": 1})


def test_nll_takes_no_label_smoothing() -> None:
    with pytest.raises(ValueError, match="label_smoothing"):
        Recipe(loss="nll", label_smoothing=0.1)


@given(st.sampled_from(["constant", "cosine", "one_cycle"]), st.floats(0, 0.9), st.floats(0, 1))
def test_the_schedule_stays_within_its_bounds(schedule: str, warmup: float, fraction: float) -> None:
    recipe = Recipe(lr=0.1, schedule=schedule, lr_warmup_fraction=warmup)  # type: ignore[arg-type]
    assert 0 <= lr_at(recipe, fraction) <= 0.1 * (1 + 1e-9)


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        ("constant", {0.0: 0.0, 0.1: 0.5, 0.2: 1.0, 0.6: 1.0, 1.0: 1.0}),
        ("cosine", {0.0: 0.0, 0.1: 0.5, 0.2: 1.0, 0.6: 0.5, 1.0: 0.0}),
        ("one_cycle", {0.0: 0.04, 0.1: 0.52, 0.2: 1.0, 0.6: 0.5, 1.0: 0.0}),
    ],
)
def test_the_schedules_at_known_points(schedule: str, points: dict[float, float]) -> None:
    recipe = Recipe(lr=1.0, schedule=schedule, lr_warmup_fraction=0.2)  # type: ignore[arg-type]
    assert {fraction: lr_at(recipe, fraction) for fraction in points} == pytest.approx(points)


def test_a_schedule_without_warm_up_starts_at_its_highest() -> None:
    assert lr_at(Recipe(lr=1.0, schedule="constant", lr_warmup_fraction=0.0), 0.0) == 1.0
