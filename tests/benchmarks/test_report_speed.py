"""What stands beside throughput: how sure it is, whether it came out again, parts of a step, batch sizes."""

from typing import Any

import pytest

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import BatchPoint
from benchmarks.report.rows import Section, sections
from benchmarks.report.speed import batch_parts, repeats_note, share_parts
from benchmarks.report.values import repeated_ratio
from tests.benchmarks.sample_records import make_config, make_environment, make_record
from tests.benchmarks.test_report_page import page_of


def measured(train_img_per_s: float, *, minutes: int = 0, seed: int = 0, **software: Any) -> RunRecord:
    record = make_record(minutes=minutes, seed=seed, environment=make_environment(**software))
    assert record.throughput is not None
    record.throughput["train_img_per_s"] = train_img_per_s
    return record


def section(*records: RunRecord) -> Section:
    (only,) = sections(records)
    return only


def point(size: int, rate: float | None, note: str | None = None) -> BatchPoint:
    return {"batch_size": size, "img_per_s": rate, "samples_img_per_s": [], "note": note}


def test_a_run_made_again_is_compared_with_the_one_before_it() -> None:
    (row,) = section(measured(100.0), measured(150.0, minutes=1), measured(141.0, minutes=2)).rows
    assert repeated_ratio(row) == pytest.approx(0.94)
    assert "0.94 times as high" in str(repeats_note(row))
    (steady,) = section(measured(100.0), measured(96.0, minutes=1)).rows
    assert repeated_ratio(steady) == pytest.approx(0.96) and repeats_note(steady) is None


def test_the_largest_departure_of_all_seeds_counts_and_seeds_are_not_mixed() -> None:
    runs = [measured(100.0), measured(50.0, seed=1), measured(101.0, minutes=1), measured(40.0, minutes=1, seed=1)]
    (row,) = section(*runs).rows
    assert repeated_ratio(row) == pytest.approx(0.8)


@pytest.mark.parametrize("software", [{"torchvision": "0.31.0"}, {"commit": "f" * 40}])
def test_other_software_is_another_measurement(software: dict[str, Any]) -> None:
    (row,) = section(measured(100.0, **software), measured(50.0, minutes=1)).rows
    assert repeated_ratio(row) is None and repeats_note(row) is None


def test_a_run_made_once_says_nothing_of_repeating() -> None:
    (row,) = section(measured(100.0)).rows
    assert repeated_ratio(row) is None and repeats_note(row) is None


def test_shares_of_a_step_are_shown_where_they_were_timed() -> None:
    shares: Any = {"forward_ms": 2.0, "backward_ms": 5.0, "optimizer_ms": 3.0, "num_samples": 30}
    other = make_record(make_config("lstm"), minutes=1)
    (part,) = share_parts(section(make_record(step_shares=shares), other))
    assert "2.00 (20%)" in part and "5.00 (50%)" in part and "3.00 (30%)" in part and " 10.0 |" in part
    assert "lstm" not in part
    assert share_parts(section(other)) == []


def test_the_knee_of_a_batch_sweep_is_marked_and_its_end_explained() -> None:
    sweep: Any = {
        "train": [point(8, 50.0), point(16, 95.0), point(32, 100.0), point(64, None, "out of memory: 3 GiB")],
        "infer": [point(1, 10.0), point(2, 20.0)],
        "train_knee": 16,
        "infer_knee": 2,
    }
    record = make_record(batch_sizes=sweep)
    (part,) = batch_parts(section(record))
    assert "**95**" in part and "**100**" not in part and "**20**" in part and "**10**" not in part
    assert "mlp at 64: out of memory: 3 GiB." in part
    assert batch_parts(section(make_record())) == []
    assert "Throughput by batch size" in page_of([record])
