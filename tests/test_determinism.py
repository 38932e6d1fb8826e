"""Deterministic training: the same bits twice, and an error that names what has no deterministic kernel."""

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import make_plan
from benchmarks.sweep.runner import Runner
from benchmarks.workers.server import carry_out
from fmnist_zoo import create_model, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.evaluation import evaluate
from fmnist_zoo.recipe import Budget, Recipe
from fmnist_zoo.training.determinism import VARIABLES, deterministic_algorithms
from tests.benchmarks.test_runner import FakeWorker, good_result

SHORT = Recipe(budget=Budget("epochs", 1), batch_size=100, lr=3e-3)


@pytest.mark.processor
@pytest.mark.parametrize("family", ["mlp", "cnn", "lstm", "transformer", "unet_encoder"])
def test_every_family_has_deterministic_kernels_and_gives_the_same_bits_twice(family: str, small: Dataset) -> None:
    few = small.train.select(torch.arange(300))
    torch.manual_seed(0)
    first = create_model(family, dropout=0.1) if family == "mlp" else create_model(family)
    second = copy.deepcopy(first)
    ends = []
    with deterministic_algorithms():
        for model in (first, second):
            result = fit(model, dataclasses.replace(small, train=few), recipe=SHORT, seed=1, device="cpu")
            scored = evaluate(model, small.test.select(torch.arange(100)), scale=result.scale)
            ends.append((scored["logits"], scored["nll"]))
    assert torch.equal(ends[0][0], ends[1][0]) and ends[0][1] == ends[1][1]


def test_an_operation_without_a_deterministic_kernel_is_named(small: Dataset) -> None:
    class Puts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(784, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits = self.layer(images.flatten(1))
            torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))  # which of the two is there then?
            return logits

    words = "put_ does not have a deterministic implementation"
    with pytest.raises(RuntimeError, match=words), deterministic_algorithms():
        fit(Puts(), small, recipe=SHORT, device="cpu")
    assert not torch.are_deterministic_algorithms_enabled()
    fit(Puts(), small, recipe=SHORT, device="cpu")


def test_what_was_set_before_is_set_again_afterwards() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with deterministic_algorithms():
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert torch.backends.cudnn.deterministic and not torch.backends.cudnn.benchmark
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert not torch.backends.cudnn.deterministic


def test_a_plan_leaves_nothing_to_measurement_and_says_so() -> None:
    free = make_plan(RunConfig(models=("mlp",), device="cpu"))
    fixed = make_plan(RunConfig(models=("mlp",), device="cpu", deterministic=True))
    config = fixed.variants[0].config
    assert (config["precision"], config["engine"], config.get("deterministic")) == ("fp32", "eager", True)
    assert "deterministic" not in free.variants[0].config and fixed.variants[0].key != free.variants[0].key
    asked = RunConfig(models=("mlp",), device="cpu", deterministic=True, precision=("bf16",), engine=("compile",))
    config = make_plan(asked).variants[0].config
    assert (config["precision"], config["engine"]) == ("bf16", "compile")
    with pytest.raises(
        ValueError, match="--deterministic can't be combined with budget seconds:3.*use epochs:N or flops:N"
    ):
        make_plan(RunConfig(models=("mlp",), device="cpu", deterministic=True, budget=("seconds:3",)))


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_worker_trains_as_the_command_was_told_and_is_started_for_it(deterministic: bool, tmp_path: Path) -> None:
    """A run that computes the same bits by luck, as most do on a CPU, would show neither."""

    class Looks:
        def __call__(self, job: Any, emit: Any) -> dict[str, Any]:
            return {"is_on": torch.are_deterministic_algorithms_enabled()}

    started: list[Mapping[str, str]] = []

    def new_worker(variables: Mapping[str, str]) -> Any:
        started.append(variables)
        return FakeWorker([good_result], [])

    plan = make_plan(RunConfig(models=("mlp",), device="cpu", seeds=1, deterministic=deterministic))
    job: Any = {"task": "run", "config": plan.variants[0].config}
    assert carry_out(Looks(), job, print)["is_on"] == deterministic
    assert not torch.are_deterministic_algorithms_enabled()
    options = RunConfig(out=tmp_path)
    Runner(plan, options, Display(), command="run", new_worker=new_worker).run()
    assert started == [VARIABLES if deterministic else {}]
