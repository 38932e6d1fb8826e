"""Comparisons of arms: which belong together, what the processes are asked for, and what a real one gives."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.measure.arm_timing import compare, first_step, rounds_within
from benchmarks.measure.parity import (
    errors,
    first_update,
    gradient_in,
    parity,
    readable,
    reference_of,
    tolerance,
    undisturbed,
)
from benchmarks.measure.subject import Subject, built_model
from benchmarks.records.arms import ArmGroup, ArmsStore, arm_groups
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import Plan, make_plan
from benchmarks.sweep.runner import Runner
from benchmarks.workers.client import WorkerDiedError
from fmnist_zoo.data import Dataset
from fmnist_zoo.data.loader import PixelScale, TrainLoader
from fmnist_zoo.recipe import Augmentation, Engine, Optimizer, Precision, Recipe
from fmnist_zoo.registry import create_model
from fmnist_zoo.training.step import TrainingStep
from tests.benchmarks.fake_workers import FakeWorker
from tests.benchmarks.test_runner import good_result

CPU = torch.device("cpu")
FAST: Precision = "bf16"  # computed exactly or emulated, on any processor


def arms_plan(**options: Any) -> Plan:
    return make_plan(
        RunConfig(**{"models": ("mlp",), "device": "cpu", "seeds": 1, "engine": ("eager",)} | options)  # type: ignore[arg-type]
    )


def groups(plan: Plan) -> list[ArmGroup]:
    return arm_groups([(variant.config, variant.family) for variant in plan.variants])


def test_variants_that_differ_in_precision_and_engine_alone_are_compared() -> None:
    plan = arms_plan(models=("mlp", "lstm"), precision=("bf16", "fp32"), lr=(1e-3, 1e-2))
    found = groups(plan)
    assert len(found) == 4  # two models, two rates
    for group in found:
        assert [(config["precision"], config["engine"]) for config in group.configs] == [
            ("fp32", "eager"),
            ("bf16", "eager"),
        ]
        assert set(group.keys) <= {variant.key for variant in plan.variants}
    assert len({group.key for group in found}) == 4


def test_the_reference_is_there_also_where_the_sweep_does_not_run_it() -> None:
    (group,) = groups(arms_plan(precision=("bf16", "bf16_weights")))
    assert [config["precision"] for config in group.configs] == ["fp32", "bf16", "bf16_weights"]


def test_what_is_chosen_by_itself_or_alone_is_not_compared() -> None:
    assert groups(arms_plan(precision=("auto", "bf16"))) == [] == groups(arms_plan(precision=("bf16",)))


def answering(
    answers: dict[str, Any], log: list[tuple[str, Mapping[str, str]]], variables: Mapping[str, str]
) -> FakeWorker:
    """A worker that answers a script of results by task, and notes what it was asked."""

    def answer(job: dict[str, Any]) -> dict[str, Any]:
        log.append((job["task"], variables))
        return answers[job["task"]](job)

    return FakeWorker(answer)


def arm_answer(job: dict[str, Any]) -> dict[str, Any]:
    arms = [
        {
            **asked, "ran_engine": asked["engine"], "fallback": None, "error": None, "parity": None, "cold": None,
            "warm": None, "samples_step_ms": [2.0] * 15 if index == 0 else [1.0] * 15,
        }
        for index, asked in enumerate(job["arms"])
    ]  # fmt: skip
    return {"status": "ok", "arms": arms, "steps_per_epoch": 214, "steps_per_sample": 8, "num_threads": 2}


def first_answer(job: dict[str, Any]) -> dict[str, Any]:
    compilation = {
        "cache": "cold", "num_graphs": 1, "num_graph_breaks": 0, "num_recompiles": 0, "num_cache_hits": 0,
        "num_cache_misses": 2,
    }  # fmt: skip
    return {"status": "ok", "first_step_s": 4.0, "compilation": compilation}


def die(job: dict[str, Any]) -> dict[str, Any]:
    raise WorkerDiedError("the worker process was killed by signal 9")


def arms_runner(plan: Plan, out: Path, answers: dict[str, Any], log: list[Any]) -> Runner:
    options = RunConfig(out=out)
    return Runner(
        plan,
        options,
        Display(),
        command="run",
        dataset="5f1c0e",
        new_worker=lambda variables: answering({"run": good_result, **answers}, log, variables),
    )


def test_a_sweep_over_engines_ends_with_a_comparison_that_is_kept_and_not_made_again(tmp_path: Path) -> None:
    plan, log = arms_plan(precision=("fp32",), engine=("eager", "compile")), []  # type: ignore[var-annotated]
    runner = arms_runner(plan, tmp_path, {"arms": arm_answer, "first_step": first_answer}, log)
    assert runner.run().comparisons_complete
    assert [task for task, _ in log] == ["run", "run", "arms", "first_step", "first_step"]
    cold, warm = log[3][1], log[4][1]
    assert cold == warm and set(cold) == {"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"}
    assert log[0][1] == log[2][1] == {}
    (record,), problems = ArmsStore(tmp_path / runner.machine).read_all()
    assert not problems and [arm["engine"] for arm in record.arms] == ["eager", "compile"]
    assert record.arms[0]["cold"] is None and record.arms[1]["cold"] is not None
    page = (tmp_path / runner.machine / "README.md").read_text()
    assert "Precision and engine" in page and "2.00 [2.00, 2.00]" in page

    log.clear()
    done = runner.done_before(retry_failed=False)
    assert done.comparisons == {record.key}
    again = arms_runner(plan, tmp_path, {}, log)
    assert again.run(done=done).comparisons_complete and log == []


def test_a_comparison_whose_worker_dies_is_kept_as_what_it_is(tmp_path: Path) -> None:
    log: list[Any] = []
    runner = arms_runner(arms_plan(precision=("fp32", "bf16")), tmp_path, {"arms": die}, log)
    runner.run()
    (record,), _ = ArmsStore(tmp_path / runner.machine).read_all()
    assert all("signal 9" in str(arm["error"]) and arm["samples_step_ms"] == [] for arm in record.arms)
    assert "signal 9" in (tmp_path / runner.machine / "README.md").read_text()


def test_after_the_deadline_nothing_is_compared(tmp_path: Path) -> None:
    log: list[Any] = []
    runner = arms_runner(arms_plan(precision=("fp32", "bf16")), tmp_path, {}, log)
    assert not runner.run(deadline=0.0).comparisons_complete and log == []


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"schema_version": 1}', '{"schema_version": 99}', "\x00"])
def test_a_file_that_is_no_comparison_is_named_and_skipped(tmp_path: Path, content: str) -> None:
    (tmp_path / "arms").mkdir()
    (tmp_path / "arms" / "x.json").write_text(content)
    records, (problem,) = ArmsStore(tmp_path).read_all()
    assert records == [] and problem.name == "arms/x.json" and problem.reason


def test_a_comparison_comes_back_as_it_was_written(tmp_path: Path) -> None:
    log: list[Any] = []
    runner = arms_runner(arms_plan(precision=("fp32", "bf16")), tmp_path, {"arms": arm_answer}, log)
    runner.run()
    store = ArmsStore(tmp_path / runner.machine)
    ((record,), _), (path,) = store.read_all(), store.paths()
    before = path.read_bytes()
    assert store.write(record) == path and path.read_bytes() == before
    path.rename(path.with_name("other.json"))
    assert "doesn't have the name" in store.read_all()[1][0].reason
    record.arms.clear()
    with pytest.raises(ValueError, match="there is no arm"):
        store.write(record)


def subject(dataset: Dataset, name: str = "tutorial_mlp_128_64", **changes: Any) -> Subject:
    recipe = Recipe(**{"batch_size": 64} | changes)  # type: ignore[arg-type]
    torch.manual_seed(0)
    return Subject(
        model=create_model(name),
        recipe=recipe,
        loader=TrainLoader(dataset.train, batch_size=recipe.batch_size, augmentation=Augmentation(), seed=0),
        scale=PixelScale.of(recipe.input_scaling, dataset),
        device=CPU,
    )


@pytest.mark.processor
def test_arms_are_compared_on_the_same_weights_and_each_gets_its_rounds(small: Dataset) -> None:
    notes: list[str] = []
    jobs: Any = [
        {"precision": "fp32", "engine": "eager", "config_key": "a"},
        {"precision": FAST, "engine": "eager", "config_key": "b"},
        {"precision": "bf16_weights", "engine": "graph", "config_key": "c"},  # not on a CPU
    ]
    found = compare(subject(small), jobs, rounds=3, report=notes.append)
    reference, fast, broken = found["arms"]
    assert len(reference["samples_step_ms"]) == len(fast["samples_step_ms"]) == 3
    assert reference["parity"]["passed"] and fast["parity"]["passed"]
    assert reference["parity"]["logits_rms"] < 1e-5 < fast["parity"]["logits_rms"]
    assert "needs an NVIDIA GPU" in broken["error"] and broken["samples_step_ms"] == [] and broken["parity"] is None
    assert found["steps_per_epoch"] == 2000 // 64 and found["steps_per_sample"] == 8
    assert any("parity" in note for note in notes)


@pytest.mark.parametrize(("round_s", "rounds"), [(0.0, 18), (1.0, 18), (5.0, 12), (5.5, 10), (9.0, 6), (1000.0, 6)])
def test_slow_arms_have_fewer_rounds_an_even_number_and_enough_for_an_interval(round_s: float, rounds: int) -> None:
    assert rounds_within(round_s, 18) == rounds
    assert rounds_within(round_s, 3) == 3


def test_an_arm_for_which_the_memory_runs_out_leaves_the_others_their_rounds(
    small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Subject.step

    def scarce(own: Subject, precision: Precision, engine: Engine) -> TrainingStep:
        if precision == FAST:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(own, precision, engine)

    monkeypatch.setattr(Subject, "step", scarce)
    jobs: Any = [{"precision": precision, "engine": "eager", "config_key": precision} for precision in ("fp32", FAST)]
    reference, fast = compare(subject(small), jobs, rounds=2, report=lambda text: None)["arms"]
    assert len(reference["samples_step_ms"]) == 2 and reference["error"] is None
    assert fast["error"] == "OutOfMemoryError: CUDA out of memory" and fast["samples_step_ms"] == []


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "rmsprop", "muon"])
def test_gradients_read_off_the_optimizer_are_the_gradients(small: Dataset, optimizer: Optimizer) -> None:
    own = subject(small, optimizer=optimizer, weight_decay=0.1, clip_grad_norm=1e-3, ema_decay=0.9)
    images, labels = next(own.loader.batches(0, 1))
    expected = reference_of(own.model, own.recipe, (images, labels), own.scale)
    step = TrainingStep(own.model, readable(own.recipe), scale=own.scale, precision="fp32", engine="eager")
    step.warm_up([(images, labels)])
    step.chunk(images, labels, [1e-3])
    found = [gradient_in(step, parameter) for parameter in step.parameters]
    assert errors(found, expected[1])[0] < 1e-5


class Overflowing:
    """A step whose gradient scaler overflows so many times, and leaves everything as it is."""

    def __init__(self, overflows: int) -> None:
        self.parameters = [torch.zeros(2)]
        self.recipe = Recipe()
        self.optimizer = torch.optim.AdamW([torch.nn.Parameter(self.parameters[0])], lr=0.1)
        self.overflows, self.calls = overflows, 0

    def chunk(self, images: torch.Tensor, labels: torch.Tensor, lrs: list[float]) -> torch.Tensor:
        self.calls += 1
        done = self.calls > self.overflows
        self.optimizer.state[self.parameters[0]] = {"exp_avg": torch.full((2,), 0.1 * done)}
        return torch.zeros(1, 10)


@pytest.mark.parametrize(("overflows", "calls"), [(0, 1), (3, 4), (1000, 18)])
def test_gradients_are_those_of_the_first_step_that_does_not_overflow(overflows: int, calls: int) -> None:
    step = Overflowing(overflows)
    _, (gradient,) = first_update(step, (torch.zeros(1), torch.zeros(1)))  # type: ignore[arg-type]
    assert step.calls == calls
    assert gradient.tolist() == pytest.approx([0.0 if calls == 18 else 1.0] * 2)


def test_a_wrong_step_fails_parity(small: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    own = subject(small)
    batch = next(own.loader.batches(0, 1))
    reference = reference_of(own.model, own.recipe, batch, own.scale)

    def judged() -> Any:
        return parity(
            own.model, own.recipe, batch, scale=own.scale, precision="bf16", engine="eager", reference=reference
        )

    assert judged()["passed"]
    right = TrainingStep._backward
    monkeypatch.setattr(TrainingStep, "_backward", lambda step, loss: right(step, loss * 1.5))
    wrong = judged()
    assert not wrong["passed"] and wrong["logits_rms"] < wrong["logits_limit"]
    assert wrong["gradients_rms"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.processor
def test_parity_leaves_model_and_random_state_as_they_are(small: Dataset) -> None:
    own = subject(small, name="cnn_s")
    batch = next(own.loader.batches(0, 1))
    before = [value.clone() for value in own.model.state_dict().values()]
    state = torch.get_rng_state()
    reference = reference_of(own.model, own.recipe, batch, own.scale)
    parity(own.model, own.recipe, batch, scale=own.scale, precision=FAST, engine="eager", reference=reference)
    assert torch.equal(torch.get_rng_state(), state)
    for value, old in zip(own.model.state_dict().values(), before, strict=True):
        assert torch.equal(value, old)


def test_errors_are_relative_to_the_reference_and_nothing_passes_by_being_nan() -> None:
    truth = [torch.tensor([3.0, -4.0], dtype=torch.float64)]
    rms, largest = errors([torch.tensor([3.0, -4.4])], truth)
    assert rms == pytest.approx(0.4 / 5) and largest == pytest.approx(0.1)
    assert math.isnan(errors([torch.zeros(2)], [torch.zeros(2, dtype=torch.float64)])[0])
    assert all(tolerance("bf16")[index] > tolerance("fp16")[index] > tolerance("fp32")[index] for index in (0, 1))


def test_dropout_of_all_kinds_is_off_in_a_comparison() -> None:
    class DropPath(nn.Module):
        drop_prob = 0.3

    model = nn.Sequential(nn.Dropout(0.5), nn.LSTM(4, 4, num_layers=2, dropout=0.2), DropPath(), nn.Dropout2d(0.1))
    undisturbed(model)
    assert [model[0].p, model[1].dropout, model[2].drop_prob, model[3].p] == [0.0, 0.0, 0.0, 0.0]


def test_a_configuration_gives_whoever_asks_the_same_model_images_and_choice(small: Dataset) -> None:
    config: dict[str, Any] = {**arms_plan(precision=("auto",)).variants[0].config, "num_val": 500}
    first, second = (Subject.of(config, seed=seed, device="cpu", dataset=small) for seed in (3, 4))
    again = built_model(config, seed=3, device=CPU)
    assert all(map(torch.equal, first.model.state_dict().values(), again.state_dict().values()))
    assert not all(map(torch.equal, first.model.state_dict().values(), second.model.state_dict().values()))
    assert Subject.of(config, seed=3, device=CPU, dataset=small, model=again).model is again
    assert len(first.loader.labels) == 1500 and first.recipe == Recipe.from_dict(config["recipe"])
    assert (first.precision, first.engine) == (None, "eager")
    assert Subject.of(config | {"engine": "auto"}, seed=3, device="cpu", dataset=small).choose(engine="eager").reason
    step = first.step("fp32", "eager")
    assert step.model is not first.model and step.scale == first.scale


@pytest.mark.slow
def test_a_second_process_finds_what_the_first_has_compiled(tmp_path: Path) -> None:
    """The real thing: two new processes, one cache folder; counters say whether the cache was hit."""
    from benchmarks.sweep.arms import ArmSweep
    from benchmarks.sweep.runner import WORKLOAD
    from benchmarks.workers.client import Worker, serving
    from tests.benchmarks.sample_records import make_environment

    plan = arms_plan(precision=("fp32",), engine=("eager", "compile"), set=("mlp.hidden=16",))
    (group,) = groups(plan)
    sweep = ArmSweep(
        lambda variables: Worker(1, command=serving(WORKLOAD), variables=variables),
        environment=make_environment(), device="cpu", data_dir=None, plugins={"mlp": ()}, command="run",
        say=lambda text: None,
    )  # fmt: skip
    cold, warm = sweep._first_steps(group.configs[1], group)
    assert cold is not None and warm is not None
    assert cold["compilation"]["cache"] == "cold" and warm["compilation"]["cache"] == "warm"
    assert cold["compilation"]["num_graphs"] >= 1 and cold["first_step_s"] > 0


def test_an_eager_first_step_compiles_nothing(small: Dataset) -> None:
    found = first_step(subject(small), "fp32", "eager")
    assert found["compilation"]["cache"] is None and found["compilation"]["num_graphs"] == 0
    assert json.dumps(found)
