"""`--profile` for real, on a small model; and a profiler that fails."""

import dataclasses
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records.store import RecordStore
from benchmarks.run import main
from benchmarks.sweep import profiling
from benchmarks.sweep.profiling import MOST_EVENTS, MOST_STEPS, SPAN, packed, steps_to_profile
from benchmarks.sweep.training_run import TrainingRuns
from fmnist_zoo import create_model, fit
from fmnist_zoo.data import Dataset
from fmnist_zoo.recipe import Budget, Precision, Recipe
from fmnist_zoo.training.fit import FitResult
from tests.benchmarks.sample_records import make_roofline, report_text


def trained(dataset: Dataset, precision: Precision = "fp32", **changes: Any) -> FitResult:
    recipe = Recipe(budget=Budget("epochs", 1), batch_size=100, **changes)
    return fit(create_model("mlp", hidden=(16,)), dataset, recipe=recipe, device="cpu", precision=precision)


def test_a_profiled_run_has_a_page_a_trace_and_a_record_that_names_them(tmp_path: Path) -> None:
    arguments = ["--models", "mlp", "--set", "mlp.hidden=16", "--budget", "flops:2e9", "--precision", "fp32"]
    assert main([*arguments, "--engine", "eager", "--device", "cpu", "--profile", "--out", str(tmp_path)]) == 0
    (machine,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (record,) = RecordStore(machine).read_all()[0]
    assert record.profile is not None
    assert record.profile["page"] == f"profiles/{record.run_id}.md"
    assert record.profile["trace"] == f"profiles/{record.run_id}.trace.json.gz"
    trace = json.loads(gzip.decompress((machine / record.profile["trace"]).read_bytes()))
    names = [event["name"] for event in trace["traceEvents"]]
    assert names.count(SPAN) == 1 and names.count("aten::_fused_adamw_") >= 10
    assert not {"host_name", "traceName"} & set(trace)
    page = (machine / record.profile["page"]).read_text(encoding="utf-8")
    assert "one epoch of 214 steps" in page and "| aten::addmm" in page and "None" not in page
    assert record.profile["page"] in report_text(machine)
    assert re.search(r"\]\(figures/equal-flops-[\w-]+-confusion-mlp\.svg\)", report_text(machine))
    # The profile stands in the ledger for itself, and the run's own figures were there before it.
    ledger = dataclasses.asdict(record)["ledger"]
    assert ledger["profile_s"] > 0
    assert sum(seconds for name, seconds in ledger.items() if name != "wall_s") == pytest.approx(ledger["wall_s"])
    assert record.roofline is not None and record.roofline["gemm_tflop_per_s"]["fp32"] is not None
    assert record.roofline["gemm_size"] == 2048 and not any(flag["kind"] == "not_measured" for flag in record.flags)


def test_a_profiler_that_fails_leaves_a_flag_and_the_run(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "kineto_available", lambda: False)
    experiment = TrainingRuns()
    experiment.found = {"flags": [], "throughput": {"train_img_per_s": None}}
    job: Any = {"machine_dir": str(tmp_path), "run_id": "x", "config": {"model": "mlp"}, "training_flops": 76_000}
    with experiment._extra("profile"):
        experiment._profile(trained(small), job)
    (flag,) = [found["evidence"] for found in experiment.found["flags"]]
    assert flag.startswith("Not measured: profile: ValueError: this build of torch lacks Kineto")
    assert "profile" not in experiment.found and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["fp32", "bf16_weights"])
def test_an_epoch_with_few_steps_is_profiled_as_a_whole(small: Dataset, tmp_path: Path, precision: Precision) -> None:
    result = trained(small, precision)
    names = profiling.write_profile(
        result,
        machine_dir=tmp_path,
        run_id="x",
        model="mlp",
        training_flops=76_000,
        roofline=make_roofline(),
        train_img_per_s=1e4,
    )
    page = (tmp_path / names["page"]).read_text(encoding="utf-8")
    assert "one epoch of 20 steps" in page
    assert re.search(r"step time without profiler, ms +\| +10\.0 ", page)


def test_a_long_epoch_is_profiled_in_part(small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiling, "MOST_STEPS", 12)
    monkeypatch.setattr(profiling, "TRACE_STEPS", 2)
    names = profiling.write_profile(
        trained(small),
        machine_dir=tmp_path,
        run_id="x",
        model="mlp",
        training_flops=76_000,
        roofline=None,
        train_img_per_s=None,
    )
    page = (tmp_path / names["page"]).read_text(encoding="utf-8")
    assert "12 of an epoch's 20 steps" in page and "randperm" not in page and "A trace of 2 steps" in page


def test_how_many_steps_are_profiled() -> None:
    assert steps_to_profile(500.0, 214) == 214
    assert steps_to_profile(500.0, 60_000) == MOST_STEPS
    assert steps_to_profile(MOST_EVENTS / 50, 214) == 50
    assert steps_to_profile(10.0 * MOST_EVENTS, 214) == 1


def test_the_same_trace_is_packed_into_the_same_bytes() -> None:
    trace: dict[str, Any] = {"traceEvents": list[Any](), "host_name": "vm", "traceName": "/tmp/x"}
    assert packed(trace) == packed(trace)
    assert json.loads(gzip.decompress(packed(trace))) == {"traceEvents": []}
