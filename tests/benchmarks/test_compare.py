"""The regression gate: equal sets pass, worse ones fail, and what can't be compared is refused."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compare.__main__ import compare
from benchmarks.compare.drift import Drift, read_checks
from benchmarks.compare.limits import MEASURES, parse_limits
from benchmarks.compare.matching import read_side
from benchmarks.records import selfcheck
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from tests.benchmarks.sample_records import make_config, make_environment, make_record, write_records
from tests.benchmarks.sample_runs import put_runs
from tests.benchmarks.sample_selfcheck import make_rate, make_selfcheck

FIVE = {"cnn": 92.5, "unet_encoder": 92.4, "transformer": 92.0, "mlp": 90.3, "lstm": 89.8}


def edit_all(machine: Path, edit: Callable[[RunRecord], None]) -> None:
    store = RecordStore(machine)
    for record in store.read_all()[0]:
        edit(record)
        store.write(record)


def slow_down(factor: float, *, wobble: float = 0.0) -> Callable[[RunRecord], None]:
    generator = np.random.default_rng(0)

    def edit(record: RunRecord) -> None:
        assert record.throughput is not None
        speed = record.throughput
        samples = 41234.5 * factor * (1 + wobble * generator.standard_normal(9))
        speed["train_samples_img_per_s"] = samples.tolist()
        speed["train_img_per_s"] = float(np.median(samples))

    return edit


def table_of(printed: str, title: str) -> list[dict[str, str]]:
    """The rows of the table of a measure, by header."""
    lines = printed.splitlines()
    (start,) = [index for index, line in enumerate(lines) if line.startswith("| row") and title in line]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[start : lines.index("", start)]]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    machine = tmp_path / "old" / "amd-epyc-2-cores"
    put_runs(machine, FIVE)
    edit_all(machine, slow_down(1.0, wobble=0.01))
    return machine


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new" / "amd-epyc-2-cores"


def test_identical_sets_pass_and_the_summary_is_a_table(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(old, old, strict=True) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### No regression\n")
    assert "| mlp equal epochs:5 " in printed and "Same software on both sides." in printed


def test_another_draw_of_the_same_models_passes(old: Path, new: Path) -> None:
    put_runs(new, FIVE, draw=5)
    edit_all(new, slow_down(0.99, wobble=0.01))
    assert compare(old.parent, new.parent) == 0


def test_a_set_with_less_accuracy_fails(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, {name: top1_pct - 0.9 for name, top1_pct in FIVE.items()}, draw=5)
    edit_all(new, slow_down(1.0, wobble=0.01))
    assert compare(old, new) == 1
    assert capsys.readouterr().out.startswith("### Regressed (test top-1, %: ")
    assert compare(old, new, fail_on="accuracy=2,throughput=5%") == 0  # less than is allowed
    assert compare(new, old) == 0  # better is no regression


def test_one_model_that_became_worse_is_found_among_others(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_runs(new, {**FIVE, "mlp": FIVE["mlp"] - 1.0}, draw=5)
    edit_all(new, slow_down(1.0, wobble=0.01))
    assert compare(old, new) == 1
    regressed = [line for line in capsys.readouterr().out.splitlines() if "**regressed**" in line]
    assert len(regressed) == 1 and regressed[0].startswith("| mlp ")


def test_a_set_slowed_by_15_percent_fails(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, FIVE)
    edit_all(new, slow_down(0.85, wobble=0.01))
    assert compare(old, new) == 1
    assert capsys.readouterr().out.startswith("### Regressed (training, img/s: 5)")
    assert compare(old, new, fail_on="throughput=20%") == 0


RATES = [make_rate("mlp", 100.0 * factor, 1000.0) for factor in (1.0, 1.01, 0.99, 1.0, 1.02, 0.98)]
LOUD = [make_rate("mlp", 100.0 * factor, 1000.0) for factor in (1.0, 1.4, 0.7, 1.0, 1.5, 0.8)]
IT = {"precision": "bf16"}


@pytest.mark.parametrize(
    ("check", "code", "drift"),
    [
        (None, 0, "unknown"),
        (make_selfcheck(rates=RATES, **IT), 1, "1.4 (5)"),
        (make_selfcheck(rates=LOUD, **IT), 0, "35 (5)"),
        (make_selfcheck(rates=RATES), 0, "unknown"),  # fp32
        (make_selfcheck(rates=RATES, **IT, engine="compile"), 0, "unknown"),
        (make_selfcheck(rates=RATES, **IT, model="cnn"), 0, "unknown"),
        (make_selfcheck(rates=RATES, **IT, recipe=make_config(optimizer="muon")["recipe"]), 0, "unknown"),
        (make_selfcheck(rates=RATES, **IT, recipe=make_config(lr=1.0)["recipe"]), 1, "1.4 (5)"),  # as much work
        ({**make_selfcheck(rates=RATES, **IT), "environment": make_environment(isa=["avx2"])}, 0, "unknown"),
    ],
)
def test_single_runs_are_judged_by_the_drift_of_their_own_arm_or_not_at_all(
    tmp_path: Path, check: selfcheck.Selfcheck | None, code: int, drift: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old" / "m", tmp_path / "new" / "m"
    for machine, factor in ((old, 1.0), (new, 0.85)):
        write_records(machine, make_record(edit=slow_down(factor, wobble=0.02)))
        if check is not None:
            selfcheck.write(machine, check)  # the same file twice is one check
    assert compare(old, new) == code
    (row,) = table_of(capsys.readouterr().out, "training, img/s")
    assert row["drift, % (df)"] == drift and row["limit"] == "5%" and row["processes"] == "1, 1"
    assert row["verdict"] == ("**regressed**" if code else "not decided")
    assert compare(old, new, strict=True) == 1  # inference isn't decided either without a check


def test_runs_of_one_process_count_once_and_other_budgets_tell_its_drift(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_runs(new, FIVE)
    edit_all(new, slow_down(0.7, wobble=0.01))

    def follow(record: RunRecord) -> None:
        record.ledger["import_s"] = 0.0 if record.seed else 2.0

    edit_all(old, follow)
    edit_all(new, follow)
    assert compare(old, new) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### No regression (not decided: 1") and "Drift unknown: 10 rows" in printed
    assert {row["verdict"] for row in table_of(printed, "training, img/s")} == {"not decided"}
    put_runs(old, {"mlp": 90.3}, budget="epochs:1")
    put_runs(old, {"mlp": 90.3}, budget="epochs:2")

    def measure(record: RunRecord) -> None:
        if record.config["recipe"]["budget"] != "epochs:5":
            slow_down(1.0 if "epochs:1" in str(record.config) else 2.0, wobble=0.01)(record)
        if record.config["recipe"]["budget"] == "epochs:2":  # what another torch did is no drift
            record.environment = make_environment(torch="2.14.0")

    edit_all(old, measure)
    assert compare(old, new) == 1
    regressed = [row for row in table_of(capsys.readouterr().out, "training, img/s") if "regressed" in row["verdict"]]
    assert [(row["row"], row["processes"]) for row in regressed] == [("mlp equal epochs:5", "1, 1")]


def test_drift_is_that_of_as_many_runs_and_of_one_arm(tmp_path: Path) -> None:
    def run(seed: int, factor: float, *, budget: str, process: bool, precision: str = "bf16") -> RunRecord:
        found = make_record(make_config(budget=budget), seed=seed, minutes=seed)
        assert found.throughput is not None and found.execution is not None
        found.throughput["train_img_per_s"] = math.exp(factor)
        found.ledger["import_s"], found.execution["precision"] = 2.0 * process, precision
        return found

    long = [run(seed, factor, budget="epochs:9", process=seed == 0) for seed, factor in enumerate((3.0, 8.0, 9.0))]
    short, other = run(0, 5.0, budget="epochs:1", process=True), run(1, 7.0, budget="epochs:1", process=True)
    odd = run(2, 0.0, budget="epochs:1", process=True, precision="fp32")
    write_records(tmp_path / "m", *long, short, other, odd)
    side, training = read_side(tmp_path), MEASURES[0]
    known = Drift((side, side), [])
    assert known.processes(long, training, "") == [pytest.approx([3.0, 8.0, 9.0])]
    assert known.between(([short], [other]), training, "") == (pytest.approx(2.0), 4)  # 3, 5 and 7, on both sides
    assert known.between(([short, odd], [short]), training, "") is None


def test_a_single_run_is_judged_by_its_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, worse = tmp_path / "old" / "m", tmp_path / "worse" / "m"
    put_runs(old, {"mlp": 92.5}, num_seeds=1)
    put_runs(worse, {"mlp": 91.7}, num_seeds=1)
    assert (compare(old, old), compare(old, worse)) == (0, 1)
    capsys.readouterr()
    # without predictions the two counts alone are no evidence for so small a loss, and it says so
    for machine in (old, worse):
        for path in (machine / "runs").glob("*.safetensors"):
            path.unlink()
    assert compare(old, worse) == 0
    (row,) = table_of(capsys.readouterr().out, "test top-1")
    assert row["verdict"] == "not decided" and row["SD between seeds, points (df)"].endswith("(images)")


def timed(factor: float, cache: str | None = None) -> Callable[[RunRecord], None]:
    def edit(record: RunRecord) -> None:
        wobble = 1 + 0.002 * record.seed
        record.latency = {"batch_1": dict.fromkeys(("p50_ms", "p95_ms", "p99_ms"), factor * wobble)}  # type: ignore[dict-item]
        record.latency["batch_1"]["num_samples"] = 100
        assert record.memory is not None
        record.memory["peak_mem_mib"] = 800 * factor * wobble
        record.ledger["first_step_s"] = factor * wobble * (9 if record.seed == 0 and cache else 1)
        if cache:
            state = "cold" if record.seed == 0 else "warm"
            counts = ("num_graphs", "num_graph_breaks", "num_recompiles", "num_cache_hits", "num_cache_misses")
            record.compilation = {"cache": state, **dict.fromkeys(counts, 1)}  # type: ignore[typeddict-item]

    return edit


@pytest.mark.parametrize(("name", "title"), [("latency", "latency p50"), ("memory", "peak"), ("first_step", "first")])
def test_what_should_be_little_is_judged_where_it_has_a_limit(
    tmp_path: Path, name: str, title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old" / "m", tmp_path / "new" / "m"
    for machine, factor in ((old, 1.0), (new, 1.15)):
        put_runs(machine, {"mlp": 90.3})
        edit_all(machine, timed(factor))
    assert compare(old, new) == 0 and title not in capsys.readouterr().out
    assert compare(old, new, fail_on=f"{name}=10%") == 1
    (row,) = table_of(capsys.readouterr().out, title)
    assert row["change, % (90% interval)"].startswith("+15.00 (") and row["limit"] == "10%"
    assert compare(old, new, fail_on=f"{name}=20%", strict=True) == compare(new, old, fail_on=f"{name}=10%") == 0


def test_first_steps_are_compared_with_the_same_state_of_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old" / "m", tmp_path / "new" / "m"
    for machine, factor in ((old, 1.0), (new, 1.3)):
        put_runs(machine, {"mlp": 90.3})
        edit_all(machine, timed(factor, "cold"))
    assert compare(old, new, fail_on="first_step=10%") == 1
    rows = {row["row"].split(", ")[1]: row for row in table_of(capsys.readouterr().out, "first step")}
    assert rows["warm cache"]["verdict"] == "**regressed**" and rows["cold cache"]["verdict"] == "not decided"


def test_a_run_that_fails_now_is_a_regression(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, FIVE)
    edit_all(new, slow_down(1.0, wobble=0.01))
    write_records(new, make_record(make_config("mlp"), seed=1, status="oom", top1_pct=None, minutes=600))
    assert compare(old, new) == 1
    printed = capsys.readouterr().out
    assert "runs that fail now: 1" in printed and "- mlp equal epochs:5, seed 1: oom" in printed


def test_of_two_machines_only_accuracy_is_judged(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def move(record: RunRecord) -> None:
        record.environment = make_environment(gpu_name="NVIDIA H100", gpu_memory_gib=79.2, gpu_count=1)

    for loss, code in ((0.0, 0), (2.0, 1)):
        put_runs(new, {name: top1_pct - loss for name, top1_pct in FIVE.items()})
        edit_all(new, slow_down(0.5, wobble=0.01))
        edit_all(new, move)
        assert compare(old, new) == code
        printed = capsys.readouterr().out
        assert "Different machines: AMD EPYC, 2 cores, " in printed
        assert "before, NVIDIA H100 now. Only accuracy is judged; differences in speed" in printed
        assert {row["verdict"] for row in table_of(printed, "training, img/s")} == {"not judged"}
        assert all(row["change, % (90% interval)"].startswith("-5") for row in table_of(printed, "training, img/s"))
    put_runs(new, FIVE)
    edit_all(new, move)
    assert compare(old, new) == 0 and compare(old, new, strict=True) == 1


def test_each_side_is_one_machine_or_has_the_other_sides(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_runs(new, FIVE)
    edit_all(new, slow_down(0.5, wobble=0.01))
    write_records(old.parent / "gpu", make_record(environment=make_environment(gpu_name="NVIDIA H100")))
    assert compare(old.parent, new) == 1  # the machine that both have is judged
    assert "mlp equal epochs:5: only in the old set" in capsys.readouterr().out
    edit_all(new, lambda record: record.environment["hardware"].update(cpu_model="other"))
    assert compare(old.parent, new) == 2
    assert f"{old.parent} holds several; give one machine's" in capsys.readouterr().err


def test_other_configurations_are_refused_unless_allowed(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new" / "m"
    put_runs(new, FIVE, lr=0.01)
    edit_all(new, slow_down(1.0, wobble=0.01))
    assert compare(old, new) == 2
    assert "no configuration in common" in capsys.readouterr().err
    assert compare(old, new, allow=("configs",)) == 0


def test_what_only_one_side_has_is_named(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, {"mlp": 90.3, "gru": 90.0})
    edit_all(new, slow_down(1.0, wobble=0.01))
    assert compare(old, new) == 0
    printed = capsys.readouterr().out
    assert "- cnn equal epochs:5: only in the old set" in printed
    assert "- gru equal epochs:5: only in the new set" in printed


def test_records_of_other_data_or_other_seeds_are_not_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, other, later = (tmp_path / name / "m" for name in ("old", "other", "later"))
    write_records(old, make_record())
    write_records(later, make_record(seed=7))

    def other_files(record: RunRecord) -> None:
        assert record.dataset is not None
        record.dataset["checksum"] = "abcdef"

    write_records(other, make_record(edit=other_files))
    assert compare(old, other) == 2
    assert "the datasets have different checksums" in capsys.readouterr().err
    assert compare(old, later) == 2
    assert "no seed in common (old 0, new 7)" in capsys.readouterr().err
    assert compare(old, tmp_path / "nothing") == 2
    assert "holds no readable record" in capsys.readouterr().err


def test_what_differs_in_software_is_shown(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, FIVE)

    def upgrade(record: RunRecord) -> None:
        record.environment = make_environment(torch="2.16.0", commit="f" * 40)

    edit_all(new, slow_down(1.0, wobble=0.01))
    edit_all(new, upgrade)
    assert compare(old, new) == 0
    rows = [
        line.split("|")[1:4]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith(("| torch ", "| commit "))
    ]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["commit", "0123456789abcdef" * 2, "f" * 40],
        ["torch", "2.15.0", "2.16.0"],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed=3", "accuracy=POINTS"),
        ("accuracy=3%", "points, without %"),
        ("throughput=5", "a percentage"),
        ("memory=5", "memory=5% (a percentage)"),
        ("accuracy=much", "not a number above 0"),
        ("accuracy=nan", "not a number above 0"),
        ("accuracy=1,accuracy=2", "each once"),
    ],
)
def test_limits_that_make_no_sense_are_refused(
    old: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(old, old, fail_on=text) == 2
    assert message in capsys.readouterr().err


@given(st.floats(0.01, 99), st.floats(0.01, 99))
def test_limits_are_read_as_they_are_written(accuracy: float, percent: float) -> None:
    assert parse_limits(f"accuracy={accuracy!r}, first_step={percent!r}%") == {
        "accuracy": accuracy, "throughput": 5.0, "first_step": percent,
    }  # fmt: skip
    assert parse_limits("") == {"accuracy": 0.3, "throughput": 5.0}


def test_a_damaged_selfcheck_is_an_error(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_checks([old]) == []
    (old / "selfcheck.json").write_text("{}", encoding="utf-8")
    assert compare(old, old) == 2
    assert "repeat python -m benchmarks.selfcheck" in capsys.readouterr().err
