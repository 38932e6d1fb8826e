"""What a number format costs is measured and said before a sweep starts."""

import re

import pytest
import torch

from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import WORKLOAD, Plan, Planner
from benchmarks.workers.slot import InProcess
from fmnist_zoo.processor import has_bf16
from fmnist_zoo.registry import register_model
from tests.fp32_only import Fp32Only

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("own_registry")]


class Listener(Display):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def tried(*precisions: str, model: str = "mlp") -> tuple[Plan, list[str]]:
    options = RunConfig(models=(model,), precision=precisions, device="cpu")  # type: ignore[arg-type]
    with Planner(options, display := Listener(), lambda: InProcess(WORKLOAD)) as planner:
        return planner.with_precisions_tried(planner.tried(planner.expanded())), display.warnings


def test_nothing_is_said_of_fp32_and_of_what_is_chosen_by_measurement() -> None:
    assert tried("fp32", "auto")[1] == []


def test_an_emulated_format_is_always_named_with_what_it_costs() -> None:
    _, found = tried("fp32", "bf16", "bf16_weights")
    if not has_bf16(torch.device("cpu")):
        assert [text.split(":")[0] for text in found] == ["mlp in bf16", "mlp in bf16_weights"]
        assert all("emulated" in text for text in found)
    for text in found:
        ratio, slow, fast = re.findall(r"takes ([\d.]+) times .* \(([\d,]+) and ([\d,]+) img/s", text)[0]
        assert float(ratio) == pytest.approx(int(fast.replace(",", "")) / int(slow.replace(",", "")), rel=0.1, abs=0.1)
        assert "use --precision fp32 or auto" in text


def test_a_format_in_which_torch_cannot_train_the_model_is_a_failure_that_names_it() -> None:
    register_model("net", family="mlp", summary="", reference="")(Fp32Only)
    fp32, bf16 = tried("fp32", "bf16", model="net")[0].variants
    assert fp32.failure is None and bf16.failure is not None
    words = r"can't train net in precision bf16 .*not implemented.*use --precision fp32"
    assert re.search(words, bf16.failure["error"])
