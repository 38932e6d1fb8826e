"""The command that tells what deterministic kernels cost."""

import pytest

from benchmarks.selfcheck.__main__ import main
from benchmarks.selfcheck.determinism import Cost, cost, table
from benchmarks.stats.intervals import Ratio
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.plan import make_plan
from fmnist_zoo.data import Dataset

PLAN = make_plan(RunConfig(models=("mlp",), set=("mlp.hidden=16",), device="cpu", deterministic=True))


def test_both_ways_are_timed_in_turn_and_compared(fashion_mnist: Dataset) -> None:
    found = cost(PLAN.variants[0], PLAN, fashion_mnist)
    assert found.error is None and found.ratio is not None and found.ratio.low is not None
    assert found.free_img_per_s is not None and found.deterministic_img_per_s is not None
    assert found.ratio.low <= found.ratio.median
    assert f"{found.ratio.median:.3f} [" in table([found])


def test_a_model_without_a_deterministic_kernel_has_a_row_that_says_so() -> None:
    good = Cost(
        variant="cnn", free_img_per_s=2000.0, deterministic_img_per_s=1500.0, ratio=Ratio(0.75, 0.7, 0.8)
    )  # fmt: skip
    lines = table([good, Cost(variant="odd", error="put_ does not have a deterministic implementation")]).splitlines()
    assert "0.750 [0.700, 0.800]" in lines[2] and "2,000" in lines[2]
    assert "put_ does not have" in lines[3]


def test_wrong_arguments_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--what", "determinism", "--models", "nonsense", "--device", "cpu"]) == 2
    assert "unknown model 'nonsense'" in capsys.readouterr().err
