"""Training: that it learns, that it does what the recipe says, that precision and engine don't change the outcome."""

import copy
import dataclasses
import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fmnist_zoo import create_model, evaluate, fit
from fmnist_zoo.data import Dataset, holdout
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.evaluation import loss_and_top1, scores
from fmnist_zoo.processor import has_bf16, has_fp16
from fmnist_zoo.recipe import Augmentation, Budget, Engine, Precision, Recipe
from fmnist_zoo.training.budget import StepPlan
from fmnist_zoo.training.choose import choose
from fmnist_zoo.training.device import resolve_device
from fmnist_zoo.training.fit import DivergedError, FitResult
from fmnist_zoo.training.ledger import Ledger
from fmnist_zoo.training.optimizers import make_optimizer, zero_state
from fmnist_zoo.training.step import TrainingStep

CPU = torch.device("cpu")
SCALE = PixelScale("unit", mean=0.3, std=0.35)


def recipe(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {"budget": Budget("epochs", 2), "batch_size": 100, "lr": 3e-3, **changes}
    return Recipe(**fields)


def model(seed: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    return create_model("mlp", **{"hidden": (32,), "norm": "none", **options})


def epochs(result: FitResult) -> list[Any]:
    """What each epoch gave; a training knows all of it."""
    return list(result.history)


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in module.parameters()])


def batches(small: Dataset, count: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0).batches(0, count))


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "muon"])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_every_optimizer_and_schedule_learns(optimizer: str, schedule: str, small: Dataset) -> None:
    rate = {"sgd": 0.05, "rmsprop": 3e-4}.get(optimizer, 3e-3)
    trained = model()
    result = fit(trained, small, recipe=recipe(optimizer=optimizer, schedule=schedule, lr=rate), device="cpu")
    assert epochs(result)[-1]["train_loss"] < 1.2
    assert evaluate(trained, small.test, scale=result.scale)["top1_pct"] > 60


def test_history_says_what_happened(small: Dataset) -> None:
    seen = []
    ledger = Ledger()
    result = fit(
        model(),
        small,
        recipe=recipe(),
        num_val=500,
        device="cpu",
        ledger=ledger,
        on_epoch=seen.append,
    )
    first, second = epochs(result)
    assert seen == result.history and (first["epoch"], second["epoch"]) == (1, 2)
    assert (first["num_steps"], second["num_steps"], result.num_steps) == (15, 30, 30)
    assert second["train_loss"] < first["train_loss"] and second["train_top1_pct"] > first["train_top1_pct"]
    assert second["val_loss"] is not None and second["val_top1_pct"] is not None and second["val_top1_pct"] > 50
    assert 0 < first["elapsed_s"] < second["elapsed_s"] == ledger.seconds["train"]
    assert set(ledger.seconds) == {"first_step", "train", "eval"}


def test_without_validation_images_all_train_and_none_are_scored(small: Dataset) -> None:
    result = fit(model(), small, recipe=recipe(budget=Budget("epochs", 1)), device="cpu")
    assert result.num_steps == 20
    assert result.history[0]["val_loss"] is None and result.history[0]["val_top1_pct"] is None


def test_training_never_sees_the_validation_images(small: Dataset) -> None:
    train, val = holdout(small.train, num_val=500)
    seen = {image.numpy().tobytes() for image in train.images}
    assert sum(image.numpy().tobytes() in seen for image in val.images) < 5  # the dataset has a few doubles


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(small: Dataset) -> None:
    runs = []
    for seed in (1, 1, 2):
        trained = model(dropout=0.2)
        fit(trained, small, recipe=recipe(augmentation=Augmentation(flip=True, shift=1)), seed=seed, device="cpu")
        runs.append(weights(trained))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_training_leaves_the_random_state_of_the_caller_alone(small: Dataset) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(create_model("tutorial_mlp_128_64"), small, recipe=recipe(budget=Budget("epochs", 1)), device="cpu")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fit(copy.deepcopy(model(seed=5)), small, recipe=recipe(budget=Budget("epochs", 1)), seed=9, device="cpu")
    torch.manual_seed(5)
    assert torch.equal(before, torch.get_rng_state()) and torch.equal(torch.rand(3), expected)


@pytest.mark.processor
@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16_weights"])
@pytest.mark.parametrize("options", [{}, {"ema_decay": 0.9}, {"clip_grad_norm": 0.1}])
def test_warm_up_leaves_no_trace(precision: Precision, options: dict[str, Any], small: Dataset) -> None:
    """Weights, statistics, optimizer and random state after warm-up are those of a step that was never warmed up."""
    results = []
    for warm in (False, True):
        module = model(norm="batch", dropout=0.3)
        step = TrainingStep(module, recipe(**options), scale=SCALE, precision=precision, engine="eager")
        if warm:
            step.warm_up(batches(small, 2))
        torch.manual_seed(3)
        for images, labels in batches(small):
            step(images, labels, 1e-2)
        step.finish()
        results.append(torch.cat([value.flatten().float() for value in module.state_dict().values()]))
    assert torch.equal(results[0], results[1])


@pytest.mark.processor
@pytest.mark.parametrize("family", ["mlp", "cnn", "lstm", "transformer"])
@pytest.mark.parametrize("precision", ["bf16", "bf16_weights"])
def test_reduced_precision_follows_fp32(family: str, precision: Precision, small: Dataset) -> None:
    few = dataclasses.replace(small, train=small.train.select(torch.arange(1000)))
    sizes = {"cnn": {"widths": "4-8-8"}, "lstm": {"hidden": 16}, "transformer": {"dim": 16, "depth": 1}}
    outcomes = {}
    for each in ("fp32", precision):
        torch.manual_seed(0)
        module = create_model(family, **sizes.get(family, {}))
        result = fit(module, few, recipe=recipe(), device="cpu", precision=each)  # type: ignore[arg-type]
        assert all(parameter.dtype == torch.float32 for parameter in module.parameters())
        outcomes[each] = epochs(result)[-1]["train_loss"]
    assert outcomes[precision] == pytest.approx(outcomes["fp32"], abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["mlp", "lstm"])
def test_compiled_training_gives_what_eager_gives(family: str, small: Dataset) -> None:
    """By SGD: an adaptive optimizer turns rounding into whole steps where the true gradient is 0."""
    changes = {"optimizer": "sgd", "lr": 0.05, "budget": Budget("epochs", 1)}
    outcomes = {}
    for engine in ("eager", "compile"):
        torch.manual_seed(0)
        module = create_model(family, hidden="16")
        result = fit(module, small, recipe=recipe(**changes), device="cpu", engine=engine)  # type: ignore[arg-type]
        assert result.engine == engine and result.fallback is None
        outcomes[engine] = weights(module)
    torch.testing.assert_close(outcomes["compile"], outcomes["eager"], rtol=1e-3, atol=1e-4)


def test_a_missing_compiler_gives_one_warning_and_eager(
    small: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/c++")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing that was compiled before
    no_compiler = torch._inductor.config.patch({"cpp.cxx": ("/nonexistent/c++",)})
    with no_compiler, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = fit(model(), small, recipe=recipe(), device="cpu", engine="compile")
    ours = [str(warning.message) for warning in caught if "failed; continuing without it" in str(warning.message)]
    assert len(ours) == 1 and "torch.compile failed" in ours[0]
    assert result.engine == "eager" and result.fallback is not None
    assert epochs(result)[-1]["train_loss"] < 1.5


def test_an_error_of_the_model_is_not_taken_for_one_of_the_compiler(small: Dataset) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images.flatten(1))

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(Broken(), small, recipe=recipe(), device="cpu")


@pytest.mark.parametrize("precision", ["tf32", "fp16"])
def test_a_precision_that_the_processor_lacks_is_refused(precision: Precision, small: Dataset) -> None:
    if precision == "fp16" and has_fp16(torch.device("cpu")):
        assert epochs(fit(model(), small, recipe=recipe(), device="cpu", precision="fp16"))[-1]["train_loss"] < 2
        return
    with pytest.raises(ValueError, match=f"precision {precision} needs"):
        fit(model(), small, recipe=recipe(), device="cpu", precision=precision)


def test_nll_on_raw_logits_is_refused(small: Dataset) -> None:
    with pytest.raises(ValueError, match="loss nll needs a model that ends in log-softmax"):
        fit(model(), small, recipe=recipe(loss="nll"), device="cpu")


def test_nll_on_log_probabilities_is_cross_entropy(small: Dataset) -> None:
    outcomes = []
    for loss in ("nll", "cross_entropy"):
        torch.manual_seed(0)
        module = create_model("tutorial_mlp_log_softmax")
        outcomes.append(fit(module, small, recipe=recipe(loss=loss), device="cpu").history[-1]["train_loss"])
    assert outcomes[0] == pytest.approx(outcomes[1], rel=1e-3)


def test_divergence_stops_the_run_in_its_epoch_and_says_where(small: Dataset) -> None:
    class Exploding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(784, 10)
            self.steps = 0

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.steps += 1
            logits = self.layer(images.flatten(1))
            return logits * float("nan") if self.steps >= 3 + 25 else logits  # three steps of warm-up

    with pytest.raises(DivergedError) as caught:
        fit(Exploding(), small, recipe=recipe(budget=Budget("epochs", 5)), device="cpu")
    assert (caught.value.epoch, caught.value.step) == (2, 5)


class _Overflow(torch.autograd.Function):
    """Passes values on, and makes their gradient infinite."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * float("inf")


class Overflowing(nn.Module):
    """Has an infinite gradient in one step of the training, the three of the warm-up not counted."""

    def __init__(self, at_step: int) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)
        self.left = at_step + 3

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.layer(images.flatten(1))
        if not torch.is_grad_enabled():
            return logits
        self.left -= 1
        return _Overflow.apply(logits) if self.left == 0 else logits


def test_an_overflow_that_the_scaler_of_fp16_handles_is_no_divergence(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fmnist_zoo.training.step.check_precision", lambda precision, device: None)
    module = Overflowing(at_step=5)
    result = fit(module, small, recipe=recipe(), device="cpu", precision="fp16")
    assert module.left < 0 and len(result.history) == 2
    assert epochs(result)[-1]["train_loss"] < 2 and bool(weights(module).isfinite().all())


def test_weights_that_only_the_last_step_has_spoiled_are_a_divergence(small: Dataset) -> None:
    """No loss of the training shows it: those are from before each update."""
    with pytest.raises(DivergedError, match="a weight is not finite from epoch 2, step 20 on") as caught:
        fit(Overflowing(at_step=40), small, recipe=recipe(), device="cpu")
    assert (caught.value.epoch, caught.value.step) == (2, 20)


def test_a_loss_that_is_not_finite_in_evaluation_alone_is_a_divergence(small: Dataset) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(784, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layer(images.flatten(1)) * (1.0 if self.training else float("inf"))

    with pytest.raises(DivergedError, match="the validation loss is not finite from epoch 1, step 15 on"):
        fit(Broken(), small, recipe=recipe(), num_val=500, device="cpu")


def test_weight_averaging_is_what_is_evaluated(small: Dataset) -> None:
    plain, averaged = model(), model()
    fit(plain, small, recipe=recipe(schedule="constant", lr=0.01), device="cpu")
    fit(averaged, small, recipe=recipe(schedule="constant", lr=0.01, ema_decay=0.5), device="cpu")
    assert not torch.equal(weights(plain), weights(averaged))
    # Averaging over two or so of the last steps stays near the last weights.
    assert (weights(plain) - weights(averaged)).norm() < 0.2 * weights(plain).norm()


def test_weight_averaging_by_hand(small: Dataset) -> None:
    """Weights and running statistics alike; the decay rises towards its value."""
    module = model(norm="batch")
    changes = {"ema_decay": 0.15, "optimizer": "sgd", "momentum": 0.0}
    step = TrainingStep(module, recipe(**changes), scale=SCALE, precision="fp32", engine="eager")

    def learnt() -> torch.Tensor:
        floats = [buffer.flatten() for buffer in module.buffers() if buffer.is_floating_point()]
        return torch.cat([weights(module), *floats])

    step.warm_up(batches(small, 2))
    average = learnt()
    for decay, (images, labels) in zip((1 / 10, 0.15, 0.15), batches(small), strict=True):
        step(images, labels, 0.1)
        average = decay * average + (1 - decay) * learnt()
    step.finish()
    torch.testing.assert_close(learnt(), average)


@pytest.mark.parametrize("decay", [0.99, 0.9999])
def test_a_long_average_forgets_the_random_start(decay: float, small: Dataset) -> None:
    module = model(norm="batch")
    result = fit(module, small, recipe=recipe(ema_decay=decay), device="cpu")
    assert evaluate(module, small.test, scale=result.scale)["top1_pct"] > 60


def test_gradient_clipping_by_hand(small: Dataset) -> None:
    module = model()
    before = weights(module)
    step = TrainingStep(
        module,
        recipe(clip_grad_norm=0.01, optimizer="sgd", momentum=0.0, weight_decay=0.0),
        scale=SCALE,
        precision="fp32",
        engine="eager",
    )
    step(*batches(small, 1)[0], 1.0)
    assert float((weights(module) - before).norm()) == pytest.approx(0.01, rel=1e-3)


def test_label_smoothing_changes_the_loss_that_is_minimised_but_not_the_one_reported(small: Dataset) -> None:
    images, labels = batches(small, 1)[0]
    module = model()
    step = TrainingStep(module, recipe(label_smoothing=0.5), scale=SCALE, precision="fp32", engine="eager")
    loss, logits = step._eager_loss(images, labels)
    plain = float(loss_and_top1(logits.detach(), labels)[0])
    assert float(loss.detach()) != pytest.approx(plain, rel=1e-4)


def test_weight_decay_spares_biases_and_norms() -> None:
    module = create_model("mlp", hidden=(8,), norm="batch")
    groups = make_optimizer(list(module.parameters()), recipe(weight_decay=0.3)).param_groups
    decays = {parameter.ndim: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decays == {2: 0.3, 1: 0.0}


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "muon"])
def test_a_zeroed_optimizer_is_as_good_as_new(optimizer: str) -> None:
    def steps(parameter: nn.Parameter, instance: torch.optim.Optimizer) -> torch.Tensor:
        for value in (1.0, -2.0, 3.0):
            parameter.grad = torch.full_like(parameter, value)
            instance.step()
        return parameter.detach().clone()

    used, fresh = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    instance = make_optimizer([used], recipe(optimizer=optimizer))
    steps(used, instance)
    zero_state(instance)
    with torch.no_grad():
        used.fill_(1.0)
    assert torch.equal(steps(used, instance), steps(fresh, make_optimizer([fresh], recipe(optimizer=optimizer))))


class FakeClock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_ledger_counts_no_second_twice_and_waits_for_the_device() -> None:
    clock = FakeClock()
    waits = []
    ledger = Ledger(clock, synchronize=lambda: waits.append(clock.now))
    with ledger.section("outer"):
        clock.now += 1
        with ledger.section("inner"):
            clock.now += 10
        clock.now += 100
    clock.now += 1000  # in no section
    with ledger.section("inner"):
        clock.now += 5
    assert ledger.seconds == {"outer": 101, "inner": 15}
    assert len(waits) == 6


def test_the_ledger_books_a_section_that_fails() -> None:
    clock = FakeClock()
    ledger = Ledger(clock)

    def work() -> None:
        with ledger.section("part"):
            clock.now += 2
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert ledger.seconds == {"part": 2}


def test_a_budget_in_flops_is_kept_to_a_step(small: Dataset) -> None:
    from fmnist_zoo.flops import count_flops

    a_step = count_flops(model()).training_flops * 100
    result = fit(model(), small, recipe=recipe(budget=Budget("flops", 33.5 * a_step)), device="cpu")
    assert result.num_steps == 33 and [stats["num_steps"] for stats in result.history] == [20, 33]
    assert epochs(result)[-1]["lr"] < 3e-3 * 0.02  # annealed to the end although the last epoch is a part


def test_a_budget_in_seconds_follows_the_speed(small: Dataset) -> None:
    """On a clock on which every step takes 0.1 s, then twice that from the second epoch on."""
    clock = FakeClock()
    step = TrainingStep(model(), recipe(budget=Budget("seconds", 6.0)), scale=SCALE, precision="fp32", engine="eager")
    data = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    real = step.warm_up

    def warm_up(items: Any) -> None:
        items = list(items)
        clock.now += 0.1 * sum(len(labels) // 100 for _, labels in items)
        real(items)

    step.warm_up = warm_up  # type: ignore[method-assign]
    plan = StepPlan(step, data, Ledger(clock), image_flops=None)
    assert plan.num_steps == 60
    plan.correct(20, 4.0)  # 0.2 s a step: 2 s are left for 10 more
    assert plan.num_steps == 30
    plan.correct(30, 5.0)  # all planned steps are done, the rate is annealed: the second that is left changes nothing
    assert plan.num_steps == 30


def test_a_short_budget_in_seconds_for_real(small: Dataset) -> None:
    result = fit(model(), small, recipe=recipe(budget=Budget("seconds", 0.5)), device="cpu")
    assert result.num_steps == result.history[-1]["num_steps"] >= 1
    assert result.history[0]["scheduled_steps"] >= 1


@pytest.mark.processor
def test_choosing_on_a_cpu_measures_and_keeps_the_model(small: Dataset) -> None:
    module = model()
    before = weights(module).clone()
    data = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    choice = choose(module, recipe(), data, SCALE, precision=None, engine=None)
    assert choice.engine == "eager" and choice.precision in ("fp32", "bf16", "bf16_weights")
    assert choice.reason is not None and "fp32 eager" in choice.reason and "compilation not tried" in choice.reason
    assert torch.equal(before, weights(module))


@pytest.mark.processor
@pytest.mark.parametrize(("precision", "engine"), [("fp32", "eager"), ("bf16", "compile")])
def test_what_is_given_is_not_chosen(precision: Precision, engine: Engine, small: Dataset) -> None:
    data = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    choice = choose(model(), recipe(), data, SCALE, precision=precision, engine=engine)
    assert (choice.precision, choice.engine, choice.reason) == (precision, engine, None)


class Cancelling(nn.Module):
    """Loses everything in bf16: a large constant swallows the signal, or makes it NaN."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)
        self.constant = constant

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.layer(images.flatten(1))
        if logits.dtype == torch.bfloat16:
            logits = logits * self.constant
        return (logits * 1e-3 + 100.0) - 100.0


@pytest.mark.processor
@pytest.mark.parametrize("constant", [1.0, math.nan])
def test_a_precision_that_strays_is_not_chosen_unless_asked_for(constant: float, small: Dataset) -> None:
    data = TrainLoader(small.train, batch_size=100, augmentation=Augmentation(), seed=0)
    choice = choose(Cancelling(constant), recipe(), data, SCALE, precision=None, engine="eager")
    assert choice.precision == "fp32"
    if has_bf16(torch.device("cpu")):
        assert choice.reason is not None and "bf16 deviates from fp32" in choice.reason
    asked = choose(Cancelling(constant), recipe(), data, SCALE, precision="bf16", engine=None)
    assert asked.precision == "bf16"


@pytest.mark.parametrize(
    ("name", "hint"), [("gpu", "is unknown"), ("cuda:99", "is not available"), ("meta", "is not available")]
)
def test_devices_that_are_not_there(name: str, hint: str) -> None:
    with pytest.raises(ValueError, match=hint):
        resolve_device(name)


def test_scores_by_hand() -> None:
    labels = torch.tensor([0, 0, 1, 1, 2])
    logits = torch.full((5, 3), -math.inf).scatter(1, torch.tensor([[0], [1], [1], [1], [2]]), 0.0)
    found = scores(logits.nan_to_num(neginf=-50.0), labels)
    assert found["top1_pct"] == pytest.approx(80.0)
    assert found["nll"] == pytest.approx(10.0, rel=1e-3)  # one of five is wrong by 50 nats
    assert found["confusion_matrix"] == [[1, 1, 0], [0, 2, 0], [0, 0, 1]]
    assert found["per_class"][1] == {
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(0.8),
        "support": 2,
    }
    assert found["macro_f1"] == pytest.approx((2 / 3 + 0.8 + 1.0) / 3)


def test_evaluation_restores_training_mode(small: Dataset) -> None:
    module = model().train()
    evaluate(module, small.test, scale=SCALE)
    assert module.training
