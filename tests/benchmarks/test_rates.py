"""The speed of rows as tables have it: which runs count together, which digits it has, how often intervals hold."""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.records.processes import arm_of, processes
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.columns import COLUMNS
from benchmarks.report.rates import Kind, Rates
from benchmarks.report.rows import Row, sections
from benchmarks.report.text import rounded
from benchmarks.stats.rates import PROCESS_VARIANCE, rate
from tests.benchmarks.sample_records import LEDGER, make_config, make_record

ROOT = Path(__file__).parents[2]
KINDS: tuple[Kind, ...] = get_args(Kind)


def measured(rate: float | None, *, new: bool = True, minutes: int = 0, seed: int = 0, **fields: Any) -> RunRecord:
    """A run with this training throughput, in a new process or in that of the run before it."""
    ledger = {**LEDGER, "import_s": 1.5 if new else 0.0}
    record = make_record(minutes=minutes, seed=seed, ledger=ledger, **fields)
    assert record.throughput is not None
    record.throughput["train_img_per_s"] = rate
    record.throughput["train_samples_img_per_s"].clear()
    return record


def seeds(rates: Sequence[float], *, new: bool = True, config: Any = None) -> list[RunRecord]:
    return [
        measured(rate, new=new or not seed, seed=seed, minutes=seed, config=config) for seed, rate in enumerate(rates)
    ]


def first_row(records: Sequence[RunRecord]) -> Row:
    return sections(records)[0].rows[0]


def values(row: Row) -> dict[str, float | None]:
    return {key: COLUMNS[key].of(row) for key in COLUMNS if key.startswith("train_") and key.endswith("img_per_s")}


def cells(row: Row) -> tuple[str, str]:
    """Mean and prediction as a table has them."""
    entry = {key: column.of(row) for key, column in COLUMNS.items() if key.startswith("train_")}
    return COLUMNS["train_img_per_s"].cell(entry), COLUMNS["train_next_low_img_per_s"].cell(entry)


def test_a_process_begins_where_imports_are_waited_for() -> None:
    again = measured(100.0, seed=1, minutes=5)
    found = processes([*seeds([100.0, 101.0, 102.0], new=False), again, measured(99.0, new=False, seed=2, minutes=6)])
    assert [len([one for one in found.values() if one == name]) for name in dict.fromkeys(found.values())] == [3, 2]
    assert found[again.run_id] == again.run_id


def test_arms_are_what_takes_as_long() -> None:
    same = [make_record(make_config(lr=0.1)), make_record(make_config(budget="seconds:5")), make_record()]
    other = [
        make_record(make_config(batch_size=64), edit=lambda run: run.throughput.update(train_batch_size=64)),  # type: ignore[union-attr]
        make_record(make_config(optimizer="sgd")),
        make_record(make_config("cnn")),
        make_record(make_config(options={"hidden": "64"})),
    ]
    assert len({arm_of(run) for run in same}) == 1 and len({arm_of(run) for run in [*same, *other]}) == 5
    assert arm_of(make_record(top1_pct=None, status="oom")) is None


def test_seeds_of_one_process_tell_less_of_another_run_than_processes() -> None:
    rates = [50_000.0, 51_000.0, 52_000.0]
    shared, apart = (values(first_row(seeds(rates, new=new))) for new in (False, True))
    assert [shared["train_img_per_s"], apart["train_img_per_s"]] == pytest.approx([stats.gmean(rates)] * 2)
    assert shared["train_next_low_img_per_s"] < apart["train_next_low_img_per_s"]  # type: ignore[operator]


def test_other_runs_of_the_arm_tell_how_far_a_single_one_may_be_off() -> None:
    single, others = measured(50_000.0), seeds([50_000.0, 60_000.0, 55_000.0], config=make_config(lr=0.1))
    assert cells(first_row([single])) == ("50,000 (one run)", "—")
    (row,) = (row for row in sections([single, *others])[0].rows if len(row.ok) == 1)
    mean, one_more = cells(row)
    assert mean == "50,000 (one run)" and re.fullmatch(r"3\d,000 to [67]\d,000", one_more)
    foreign = seeds([50_000.0, 90_000.0], config=make_config(optimizer="sgd"))
    (row,) = (row for row in sections([single, *foreign])[0].rows if len(row.ok) == 1)
    assert values(row)["train_next_low_img_per_s"] is None


def test_the_digits_are_those_that_the_interval_allows() -> None:
    assert cells(first_row(seeds([58_095.0, 44_321.0, 75_265.0])))[0].startswith("58,000 [")
    assert cells(first_row(seeds([58_095.0, 58_099.0, 58_091.0])))[0].startswith("58,095 [58,08")
    assert cells(first_row([measured(58_095.0)]))[0] == "58,000 (one run)"
    assert cells(first_row(seeds([100.0] * 3)))[0] == "100 [100, 100]"
    assert cells(first_row([measured(0.01234)]))[0] == "0.012 (one run)"


@given(st.floats(1.0, 1e7), st.floats(1e-3, 0.99))
def test_no_digit_is_finer_than_the_second_of_the_half_width(mean: float, share: float) -> None:
    step = 10.0 ** (math.floor(math.log10(share * mean)) - 1)
    written = float(rounded(mean, share * mean).replace(",", ""))
    assert written / step == pytest.approx(round(written / step), abs=1e-6)
    assert abs(written - mean) <= 0.5 * max(step, 0.01 * mean) * (1 + 1e-9)


def test_a_run_that_lies_far_off_is_within_what_the_table_says() -> None:
    found = values(first_row(seeds([100.0, 102.0, 146.0])))
    assert found["train_next_high_img_per_s"] > 146.0  # type: ignore[operator]


def test_what_was_not_measured_or_is_no_rate_counts_for_nothing() -> None:
    runs = [measured(None), measured(0.0, seed=1, minutes=1), measured(-5.0, seed=2, minutes=2)]
    assert set(values(first_row(runs)).values()) == {None} and cells(first_row(runs)) == ("—", "—")
    wild = seeds([1e-300, 1e300])
    assert all(value is None or math.isfinite(value) for value in values(first_row(wild)).values())
    assert cells(first_row(wild))[0].startswith("1.0 [")


@cache
def committed() -> list[tuple[Rates, list[list[RunRecord]]]]:
    """The committed runs of each arm by process, with what their machine's records know."""
    found: list[tuple[Rates, list[list[RunRecord]]]] = []
    for folder in sorted((ROOT / "results").glob("*/runs")):
        records = [run for run in RecordStore(folder.parent).read_all()[0] if run.status == "ok" and run.throughput]
        by_arm: dict[Any, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
        owner = processes(records)
        for run in records:
            by_arm[arm_of(run)][owner[run.run_id]].append(run)
        found += [(Rates(records), list(arm.values())) for arm in by_arm.values()]
    return found


def covered(
    rates: Rates, kind: Kind, own: Sequence[RunRecord], arm: Sequence[RunRecord], left_out: Sequence[RunRecord]
) -> list[bool]:
    """Whether each run that was left out lies in the prediction interval that the others give."""
    found = rate(rates.logs(own, kind), rates.deviation(arm, kind))
    if found.next_low is None or found.next_high is None:
        return []
    return [found.next_low <= run.throughput[f"{kind}_img_per_s"] <= found.next_high for run in left_out]  # type: ignore[index, operator]


def without(parts: Sequence[Sequence[RunRecord]], out: Sequence[RunRecord]) -> list[RunRecord]:
    return [run for part in parts for run in part if all(run is not one for one in out)]


def coverage(kind: Kind, *, whole_processes: bool) -> tuple[int, int, int, float, float]:
    """Runs in their prediction intervals, of how many, of how many processes; mean over processes, half its interval.

    Runs of a process aren't independent: each one's share counts once in the mean and its t interval.

    Args:
        kind: of throughput.
        whole_processes: whether a process is left out and predicted from each other one of its arm, as a reader would
            take a row of the table; else one run, predicted from those of its process.
    """
    shares: list[list[bool]] = []
    for rates, arm in committed():
        for process in arm:
            found: list[bool] = []
            if whole_processes:
                rest = without(arm, process)
                for other in arm:
                    found += covered(rates, kind, other, rest, process) if other is not process else []
            elif len(process) > 1:
                for run in process:
                    found += covered(rates, kind, without([process], [run]), without(arm, [run]), [run])
            shares += [found] * bool(found)
    means = [fmean(found) for found in shares]
    half = float(stats.t.ppf(0.975, len(means) - 1) * stats.sem(means))
    return sum(map(sum, shares)), sum(map(len, shares)), len(shares), fmean(means), half


def process_variance(kind: Kind) -> float:
    """Between processes of an arm, in units of that between the runs of one: analysis of variance, unequal groups."""
    logs = [rates.logs([run for process in arm for run in process], kind) for rates, arm in committed()]
    within = sum(float(np.var(one)) * len(one) for arm in logs for one in arm)
    freedom = sum(len(one) - 1 for arm in logs for one in arm)
    between, between_freedom, size = 0.0, 0, 0.0
    for arm in logs:
        every = np.concatenate(arm)
        between += sum(len(one) * (fmean(one) - every.mean()) ** 2 for one in arm)
        between_freedom += len(arm) - 1
        size += len(every) - sum(len(one) ** 2 for one in arm) / len(every)
    error = within / freedom
    return (between - between_freedom * error) / size / error


@pytest.mark.parametrize("kind", KINDS)
def test_the_prediction_interval_holds_for_the_committed_runs_as_the_documents_say(kind: Kind) -> None:
    text = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
    name = {"train": "training", "infer": "inference"}[kind]
    for whole in (True, False):
        hits, runs, num_processes, share, half = coverage(kind, whole_processes=whole)
        line = f"{hits} of {runs} | {num_processes} | {100 * share:.1f} ± {100 * half:.1f}"
        assert f"| {name} | {'another' if whole else 'the same'} | {line} |" in text
        assert share + half >= 0.95
        assert share - half <= 0.95 or not whole


def test_processes_differ_by_more_than_the_runs_of_one() -> None:
    assert {kind: round(process_variance(kind), 1) for kind in KINDS} == {"train": 0.9, "infer": PROCESS_VARIANCE}
