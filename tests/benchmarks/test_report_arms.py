"""The tables of precisions and engines: what stands in a row, which arms fail, and when compiling has paid."""

import math
from typing import Any

import pytest

from benchmarks.records.arms import Arm, ArmsRecord, FirstStep, Parity
from benchmarks.records.record import RunRecord, config_key
from benchmarks.report import frames
from benchmarks.report.answers import Answers
from benchmarks.report.arms import arms_frame, arms_section, break_even_epochs, equivalence, failures, latest
from benchmarks.report.findings import page_findings
from benchmarks.report.markdown import Material, machine_pages
from benchmarks.report.rows import sections
from tests.benchmarks.sample_records import make_config, make_environment, make_record
from tests.benchmarks.test_report_page import cells

GOOD: Parity = {
    "logits_rms": 2e-3, "logits_max": 5e-3, "gradients_rms": 1e-2, "gradients_max": 3e-2, "logits_limit": 0.03,
    "gradients_limit": 0.12, "passed": True,
}  # fmt: skip


def first(seconds: float, cache: str) -> FirstStep:
    counts: Any = {
        "num_graphs": 1, "num_graph_breaks": 2, "num_recompiles": 0, "num_cache_hits": 0, "num_cache_misses": 2,
    }  # fmt: skip
    return {"first_step_s": seconds, "compilation": {"cache": cache, **counts}}


def arm(precision: str, engine: str, step_ms: float, **changes: Any) -> Arm:
    key = config_key(make_config(precision=precision, engine=engine))
    found: Any = {
        "precision": precision, "engine": engine, "config_key": key, "ran_engine": engine, "fallback": None,
        "error": None, "samples_step_ms": [step_ms] * 18, "parity": GOOD, "cold": None, "warm": None,
        **changes,
    }  # fmt: skip
    return found


def comparison(*arms: Arm, minutes: int = 0) -> ArmsRecord:
    return ArmsRecord(
        comparison_id=f"20261124T1600{minutes:02}.000Z-mlp-00000000-s0",
        model="mlp",
        family="mlp",
        started_at=f"2026-11-24T16:00:{minutes:02}Z",
        command="run",
        config=make_config(precision="fp32", engine="eager"),
        environment=make_environment(),
        num_threads=2,
        steps_per_epoch=200,
        steps_per_sample=8,
        arms=list(arms),
    )


def runs(precision: str, engine: str, top1: list[float], **changes: Any) -> list[RunRecord]:
    config = make_config(precision=precision, engine=engine)
    return [make_record(config, seed=seed, top1_pct=value, **changes) for seed, value in enumerate(top1)]


def by_seed(records: list[RunRecord]) -> dict[int, RunRecord]:
    return {record.seed: record for record in records}


EAGER, COMPILED = (
    arm("fp32", "eager", 10.0),
    arm("fp32", "compile", 5.0, cold=first(13.0, "cold"), warm=first(3.0, "warm")),
)


def test_a_row_says_how_fast_an_arm_is_and_after_how_many_epochs_compiling_has_paid() -> None:
    records = runs("fp32", "eager", [90.0])
    records[0].ledger["first_step_s"] = 1.0
    reference, fast = arms_frame([comparison(EAGER, COMPILED)], records)
    assert reference["speedup"] == 1.0 and fast["speedup"] == fast["speedup_low"] == fast["speedup_high"] == 2.0
    # An epoch of 200 steps is 1 s shorter; 12 s and 2 s more before the first.
    assert fast["break_even_cold_epochs"] == pytest.approx(12.0)
    assert fast["break_even_warm_epochs"] == pytest.approx(2.0)
    assert fast["num_graph_breaks"] == 2
    assert (fast["dataset"], fast["track"], fast["budget"]) == ("fashion_mnist", "equal", "epochs:5")


def test_compiling_that_makes_a_model_slower_never_pays_and_stands_in_the_table() -> None:
    slow = arm("fp32", "compile", 12.0, cold=first(9.0, "cold"), warm=first(2.0, "warm"))
    _, row = arms_frame([comparison(EAGER, slow)], [])
    assert row["speedup"] == pytest.approx(10 / 12) and math.isinf(row["break_even_cold_epochs"])
    page = arms_section([comparison(EAGER, slow)], [], floor="Floor.")
    assert "never / never" in page and "0.83 [0.83, 0.83]" in page
    assert break_even_epochs(None, 1.0, 1.0) is None and break_even_epochs(first(1.0, "cold"), 1.0, None) is None
    assert break_even_epochs(first(0.5, "warm"), 1.0, 2.0) == 0.0


def test_memory_is_compared_with_the_reference_by_runs_of_their_own() -> None:
    records = [*runs("fp32", "eager", [90.0, 90.0]), *runs("fp32", "compile", [90.0])]
    for record, peak in zip(records, (800.0, 1000.0, 1500.0), strict=True):
        assert record.memory is not None
        record.memory["peak_mem_mib"] = peak
    _, row = arms_frame([comparison(EAGER, COMPILED)], records)
    assert row["memory_ratio"] == pytest.approx(1.5)
    assert records[2].memory is not None
    records[2].memory["baseline_mem_mib"] = None  # an earlier program's, which counted otherwise
    _, row = arms_frame([comparison(EAGER, COMPILED)], records)
    assert row["peak_mem_mib"] is None and row["memory_ratio"] is None


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.05, -0.05, 0.02, 0.0], "equivalent"),
        ([0.3, -0.2, 0.4, 0.1], "open"),
        ([-0.9, -1.0, -1.1, -1.0], "different"),
        ([0.0], "open"),
    ],
)
def test_equivalence_is_two_one_sided_tests_over_the_same_seeds(differences: list[float], verdict: str) -> None:
    base = [90.0, 90.5, 89.5, 90.2][: len(differences)]
    own = [value + difference for value, difference in zip(base, differences, strict=True)]
    found = equivalence(by_seed(runs("bf16", "eager", own)), by_seed(runs("fp32", "eager", base)))
    assert found is not None and found.verdict == verdict and found.num_seeds == len(differences)


def test_seeds_that_only_one_of_two_arms_has_do_not_count() -> None:
    own, base = by_seed(runs("bf16", "eager", [90.0, 91.0, 92.0])), by_seed(runs("fp32", "eager", [90.0, 90.0]))
    found = equivalence(own, base)
    assert found is not None and found.num_seeds == 2 and found.difference_pct == pytest.approx(0.5)
    assert equivalence(own, {}) is None


def test_an_arm_that_fails_is_marked_in_every_table_it_is_in() -> None:
    wrong = arm("bf16", "eager", 5.0, parity={**GOOD, "gradients_rms": 0.7, "passed": False})
    records = [*runs("fp32", "eager", [90.0]), *runs("bf16", "eager", [90.0])]
    found = failures([comparison(EAGER, wrong)], records)
    assert set(found) == {wrong["config_key"]} and "Fails parity" in found[wrong["config_key"]]
    shown = sections(records)
    page = machine_pages(
        [frames.section_frames(section) for section in shown],
        records,
        [],
        page_findings(shown, Answers()),
        Material(comparisons=[comparison(EAGER, wrong)]),
    )["README.md"]
    assert cells(page, "mlp bf16<sup>1</sup>", table=0) and cells(page, "mlp bf16<sup>1</sup>", table=1)
    assert "**fail**" in page and "Fails parity" in page


def test_an_arm_whose_accuracy_differs_is_marked_too() -> None:
    records = [*runs("fp32", "eager", [90.0, 90.1, 89.9]), *runs("bf16", "eager", [88.0, 88.1, 87.9])]
    found = failures([comparison(EAGER, arm("bf16", "eager", 5.0))], records)
    assert "Not equivalent to fp32 eager" in next(iter(found.values())) and "-2.00 points" in next(iter(found.values()))


def test_an_arm_that_did_not_run_is_a_row_that_says_why() -> None:
    broken = arm("bf16", "eager", 1.0, samples_step_ms=[], parity=None, error="RuntimeError: no such kernel | <b>")
    page = arms_section([comparison(EAGER, broken)], [], floor="Floor.")
    assert "RuntimeError: no such kernel &#124; &#60;b&#62;" in page and page.endswith("Floor.")


def test_the_last_comparison_of_the_same_arms_counts() -> None:
    early, late, other = comparison(EAGER, COMPILED), comparison(EAGER, COMPILED, minutes=5), comparison(EAGER)
    assert latest([late, early, other]) == sorted([late, other], key=lambda record: record.comparison_id)
