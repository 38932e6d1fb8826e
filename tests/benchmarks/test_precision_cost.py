"""What a number format costs is measured and said before a sweep starts."""

import re

import pytest
import torch

from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.plan import make_plan
from benchmarks.sweep.precision_cost import slow_precisions
from fmnist_zoo.data import Dataset
from fmnist_zoo.processor import has_bf16
from fmnist_zoo.registry import register_model
from tests.fp32_only import Fp32Only

pytestmark = [pytest.mark.processor, pytest.mark.usefixtures("own_registry")]


def sentences(dataset: Dataset, *precisions: str, model: str = "mlp") -> list[str]:
    options = RunConfig(models=(model,), precision=precisions, device="cpu")  # type: ignore[arg-type]
    return list(slow_precisions(make_plan(options), dataset))


def test_nothing_is_said_of_fp32_and_of_what_is_chosen_by_measurement(fashion_mnist: Dataset) -> None:
    assert sentences(fashion_mnist, "fp32", "auto") == []


def test_an_emulated_format_is_always_named_with_what_it_costs(fashion_mnist: Dataset) -> None:
    found = sentences(fashion_mnist, "fp32", "bf16", "bf16_weights")
    if not has_bf16(torch.device("cpu")):
        assert [text.split(":")[0] for text in found] == ["mlp in bf16", "mlp in bf16_weights"]
        assert all("emulated" in text for text in found)
    for text in found:
        ratio, slow, fast = re.findall(r"takes ([\d.]+) times .* \(([\d,]+) and ([\d,]+) img/s", text)[0]
        assert float(ratio) == pytest.approx(int(fast.replace(",", "")) / int(slow.replace(",", "")), rel=0.1, abs=0.1)
        assert "use --precision fp32 or auto" in text


def test_a_format_in_which_torch_cannot_train_the_model_is_refused_by_name(fashion_mnist: Dataset) -> None:
    register_model("net", family="mlp", summary="", reference="")(Fp32Only)
    with pytest.raises(ValueError, match=r"can't train net in precision bf16 .*not implemented.*use --precision fp32"):
        sentences(fashion_mnist, "bf16", model="net")
