"""The regression gate: equal sets pass, worse ones fail, and what can't be compared is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.compare.__main__ import compare
from benchmarks.compare.limits import Limits, noise_floor, parse_limits
from benchmarks.records import selfcheck
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.stats.regressions import common_drop, fewer_right, lower_share, pooled_drops, slower
from tests.benchmarks.sample_records import make_config, make_environment, make_record, write_records
from tests.benchmarks.sample_runs import put_runs
from tests.benchmarks.sample_selfcheck import make_selfcheck

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
    assert compare(old, old) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### No regression\n")
    assert "| mlp equal epochs:5 " in printed and "Same software on both sides." in printed
    assert "noise floor of this machine is not known: python -m benchmarks.selfcheck measures it" in printed


def test_another_draw_of_the_same_models_passes(old: Path, new: Path) -> None:
    put_runs(new, FIVE, draw=5)
    edit_all(new, slow_down(0.99, wobble=0.01))
    assert compare(old.parent, new.parent) == 0


def test_a_set_with_less_accuracy_fails(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, {name: top1_pct - 0.6 for name, top1_pct in FIVE.items()}, draw=5)
    edit_all(new, slow_down(1.0, wobble=0.01))
    assert compare(old, new) == 1
    assert capsys.readouterr().out.startswith("### Regressed (test top-1: ")
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
    assert capsys.readouterr().out.startswith("### Regressed (training, img/s: 6)")  # five and their mean
    assert compare(old, new, fail_on="throughput=20%") == 0


@pytest.mark.parametrize(("floor_pct", "code"), [(6.0, 1), (25.0, 0)])
def test_a_loss_below_the_noise_floor_of_the_machine_is_none(
    old: Path, new: Path, floor_pct: float, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    put_runs(new, FIVE)
    edit_all(new, slow_down(0.85, wobble=0.01))
    found = make_selfcheck()
    found["between_processes"]["train_floor_pct"] = floor_pct
    selfcheck.write(old, found)
    assert compare(old, new) == code
    assert f"between processes: {floor_pct:.2g}" in capsys.readouterr().out.replace("6.0", "6")


def test_the_noise_floor_of_another_machine_does_not_count(
    old: Path, new: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_runs(new, FIVE)
    selfcheck.write(old, {**make_selfcheck(), "environment": make_environment(isa=["avx2"])})
    assert compare(old, new) == 0
    assert "noise floor of this machine is not known" in capsys.readouterr().out


def test_single_runs_are_judged_by_their_images_and_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, worse, slow = (tmp_path / name / "amd-epyc-2-cores" for name in ("old", "worse", "slow"))
    put_runs(old, {"cnn": 92.5}, num_seeds=1)
    put_runs(worse, {"cnn": 91.95}, num_seeds=1)
    put_runs(slow, {"cnn": 92.5}, num_seeds=1)
    edit_all(old, slow_down(1.0, wobble=0.02))
    edit_all(worse, slow_down(1.0, wobble=0.02))
    edit_all(slow, slow_down(0.85, wobble=0.02))
    assert (compare(old, old), compare(old, worse), compare(old, slow)) == (0, 1, 1)
    capsys.readouterr()
    # without predictions the two counts alone are no evidence for so small a loss, and it says so
    for machine in (old, worse):
        for path in (machine / "runs").glob("*.safetensors"):
            path.unlink()
    assert compare(old, worse) == 0
    assert "beyond the limit, but may be chance" in capsys.readouterr().out


def test_a_loss_of_few_noisy_samples_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old" / "m", tmp_path / "new" / "m"
    write_records(old, make_record())
    write_records(new, make_record())

    def slower_by_hand(record: RunRecord) -> None:
        assert record.throughput is not None
        record.throughput["train_img_per_s"] = 35000.0

    edit_all(new, slower_by_hand)
    assert compare(old, new) == 0  # three samples each
    assert "beyond the limit, but may be chance" in capsys.readouterr().out


def test_a_run_that_fails_now_is_a_regression(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, FIVE)
    edit_all(new, slow_down(1.0, wobble=0.01))
    write_records(new, make_record(make_config("mlp"), seed=1, status="oom", top1_pct=None, minutes=600))
    assert compare(old, new) == 1
    printed = capsys.readouterr().out
    assert "runs that fail now: 1" in printed and "- mlp equal epochs:5, seed 1: oom" in printed


def test_other_hardware_is_refused_unless_allowed(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(new, FIVE)

    def move(record: RunRecord) -> None:
        record.environment = make_environment(gpu_name="NVIDIA H100", gpu_memory_gib=79.2, gpu_count=1)

    edit_all(new, move)
    assert compare(old, new) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert (
        "different hardware: AMD EPYC, 2 cores, instruction sets and caches not recorded before, NVIDIA H100 now"
        in printed.err
    )
    assert compare(old, new, allow=("hardware",)) == 0


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
def test_limits_are_read_as_they_are_written(accuracy: float, throughput: float) -> None:
    assert parse_limits(f"accuracy={accuracy!r}, throughput={throughput!r}%") == Limits(
        accuracy=accuracy, throughput=throughput
    )
    assert parse_limits("accuracy=0.5") == Limits(accuracy=0.5)


def test_a_damaged_selfcheck_is_an_error(tmp_path: Path) -> None:
    assert noise_floor([tmp_path], ()) is None
    (tmp_path / "selfcheck.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="make it again with python -m benchmarks.selfcheck"):
        noise_floor([tmp_path], ())


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=9))
def test_the_evidence_of_one_row_is_a_t_test(changes: list[float]) -> None:
    (p_value,) = pooled_drops([changes]) or [None]
    if np.std(changes) > 1e-6:
        assert p_value == pytest.approx(stats.ttest_1samp(changes, 0, alternative="less").pvalue, abs=1e-9)
        assert common_drop([[change] for change in changes]) == pytest.approx(p_value)


def test_evidence_from_single_runs() -> None:
    assert pooled_drops([[0.1], [0.2]]) is None and common_drop([[0.1, 0.2]]) is None
    before = np.array([True] * 9 + [False] * 3)
    assert fewer_right(before, ~before) == pytest.approx(sum([1, 12, 66, 220]) / 4096)
    assert fewer_right(before, before) == 1.0
    # (0.925 - 0.919) / sqrt(2 * 0.922 * 0.078 / 10000)
    assert lower_share(9250, 9190, 10_000) == pytest.approx(stats.norm.sf(0.006 / np.sqrt(2 * 0.922 * 0.078 / 1e4)))
    assert lower_share(10, 10, 10) == 1.0
    assert slower([2.0] * 3, [1.0] * 3) is None
    assert slower([2.0, 2.1, 2.2, 2.3], [1.0, 1.1, 1.2, 1.3]) == pytest.approx(1 / 70)  # 8 choose 4 orders
