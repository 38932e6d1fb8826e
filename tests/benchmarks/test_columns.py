"""Columns: each is found where it says, has the unit of its key, and is written as people read it."""

import types
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import GEMM_PRECISIONS
from benchmarks.report.cells import Column, Over
from benchmarks.report.columns import COLUMNS, COST, STEP_PARTS, accuracy_columns, latency_columns, throughput_columns
from benchmarks.report.history import VALUES
from benchmarks.report.rows import sections
from benchmarks.report.values import T_INTERVAL, WILSON_INTERVAL
from tests.benchmarks.sample_records import make_record

TABLES = {"accuracy": accuracy_columns(), "throughput": throughput_columns(("batch_1",)), "cost": COST}
ALL = [column for table in TABLES.values() for column in table]
UNITS = {
    "_img_per_s": "img/s", "_tflop_per_s": "TFLOP/s", "_gb_per_s": "GB/s", "_ms": "ms", "_s": "s", "_pct": "%",
    "_mib": "MiB", "_gmacs": "GMACs/image", "_gflops": "GFLOPs/image", "_loss": "nats",
}  # fmt: skip
"""By the ending of a key, the longer ones first."""


def fields_along(path: str) -> Iterator[tuple[Any, str]]:
    """The type that each name of a path is looked up in."""
    kind: Any = RunRecord
    for name in path.split("."):
        yield kind, name
        kind = get_args(kind)[1] if get_origin(kind) is dict else get_type_hints(kind)[name]
        if types.NoneType in get_args(kind):
            (kind,) = set(get_args(kind)) - {types.NoneType}


PATHS = {column.of.at for column in ALL if isinstance(column.of, Over) and isinstance(column.of.at, str)}


@pytest.mark.parametrize("path", sorted(PATHS))
def test_a_column_is_looked_up_where_the_schema_has_it(path: str) -> None:
    for kind, name in fields_along(path):
        if get_origin(kind) is dict:
            assert name in (*GEMM_PRECISIONS, "batch_1")
        else:
            assert kind is RunRecord or is_typeddict(kind)
            assert name in get_type_hints(kind)


@pytest.mark.parametrize("column", [*ALL, *VALUES], ids=lambda column: column.key)
def test_the_unit_of_a_column_is_that_of_its_key(column: Column) -> None:
    endings = [ending for ending in UNITS if column.key.endswith(ending)]
    if endings and column.key != "top1_gap_pct":  # a difference of percentages is one in points
        assert column.unit == UNITS[endings[0]]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_has_all_that_its_columns_refer_to_and_nothing_twice(table: Sequence[Column]) -> None:
    keys = [column.key for column in table]
    titles = [(column.title, column.unit) for column in table if column.title]
    assert len(set(keys)) == len(keys) and len(set(titles)) == len(titles)
    for column in table:
        merged = column.merged.keys if column.merged else ()
        assert {*column.beside, *merged, *filter(None, [column.after])} <= set(keys)
        assert not merged or column.key in merged


@pytest.mark.parametrize("column", [column for column in ALL if column.title], ids=lambda column: column.key)
def test_what_is_unknown_is_a_dash(column: Column) -> None:
    unknown = dict.fromkeys([column.key, *column.beside])
    assert column.cell(unknown) == "—"
    if column.merged:
        assert column.merged.text(*(None for _ in column.merged.keys)) in ("—", "— / —")


@pytest.mark.parametrize(
    ("key", "values", "text"),
    [
        ("num_params", (535818,), "535,818"),
        ("test_top1_pct", (92.3149, 92.1, 92.52, T_INTERVAL), "92.31 ± 0.21"),
        ("test_top1_pct", (92.3149, 91.771, 92.824, WILSON_INTERVAL), "92.31 [91.77, 92.82]"),
        ("val_top1_pct", (90.005,), "90.00"),
        ("test_nll", (0.30449,), "0.304"),
        ("macro_f1", (0.92345,), "0.9234"),
        ("train_s", (12.345,), "12.3"),
        ("train_img_per_s", (58095.0, 48000.0, 70123.0, 40000.0, 20.5), "58,000 [48,000, 70,000]"),
        ("train_img_per_s", (9654.6, 9201.0, 10131.0, 8801.0, 1.23), "9,650 [9,200, 10,130]"),
        ("train_img_per_s", (9654.6, None, None, 8001.0, 1.23), "9,700 (one run, 1.2% within it)"),
        ("infer_img_per_s", (9654.6, None, None, None, None), "9,700 (one run)"),
        ("train_next_low_img_per_s", (3936.1, 870123.0, 58095.0), "3,900 to 870,000"),
        ("peak_mem_mib", (1406.4,), "1,406"),
        ("first_step_s", (0.0254,), "0.0254"),
        ("train_j_per_1000_img", (1.234,), "1.23"),
        ("train_mfu_pct", (123.4,), "123"),
        ("engine", ("eager",), "eager"),
    ],
)
def test_a_cell_has_sensible_digits(key: str, values: Sequence[Any], text: str) -> None:
    column = COLUMNS[key]
    assert column.cell(dict(zip([key, *column.beside], values, strict=True))) == text


@pytest.mark.parametrize(
    ("column", "values", "text"),
    [
        (COLUMNS["train_batch_size"], ("256", "500"), "256 / 500"),
        (COLUMNS["train_batch_size"], ("256", None), "256 / —"),
        (COLUMNS["first_step_s"], (3.254, "cold"), "3.25 (cold)"),
        (COLUMNS["first_step_s"], (3.254, None), "3.25"),
        (COLUMNS["peak_mem_mib"], (1406.4, 1002.3), "1,406 (1,002)"),
        (latency_columns("batch_1")[0], (0.4567, 0.6, 12.34), "0.457 / 0.6 / 12.3"),
    ],
)
def test_markdown_has_several_columns_in_one_cell(column: Column, values: Sequence[Any], text: str) -> None:
    assert column.merged is not None and column.merged.text(*values) == text


def test_a_value_is_summed_up_over_the_runs_that_have_one() -> None:
    records = [make_record(seed=seed) for seed in range(3)]
    records[0].ledger["train_s"], records[1].ledger["train_s"], records[2].ledger["train_s"] = 10.0, 20.0, None
    records[2].memory = None
    (row,) = sections(records)[0].rows
    assert COLUMNS["train_s"].of(row) == 15.0 and COLUMNS["peak_mem_mib"].of(row) == 812.4
    assert COLUMNS["run_j"].of(row) is None and STEP_PARTS[0].of(row) is None
    failed = make_record(top1_pct=None, status="oom")
    (row,) = sections([failed])[0].rows
    assert COLUMNS["train_s"].of(row) is None and COLUMNS["status"].of(row) == "oom (0/1 ok)"


def test_axes_have_a_name_and_a_unit() -> None:
    assert COLUMNS["train_s"].axis == "training time, s" and COLUMNS["num_params"].axis == "parameters"
    assert COLUMNS["peak_mem_mib"].axis == "peak memory, MiB"
    assert [column.axis for column in STEP_PARTS] == ["forward, ms", "backward, ms", "optimizer, ms"]
