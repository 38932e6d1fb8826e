"""A record has what its worker found, by field, and beside it what only the sweep knows."""

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from benchmarks.records.record import RunRecord, config_key
from benchmarks.sweep.assemble import assembled
from benchmarks.sweep.plan import Variant
from tests.benchmarks.sample_records import make_config, make_environment, make_flags

VARIANT = Variant(
    config=make_config(), key=config_key(make_config()), label="mlp lr=0.1", family="mlp", num_params=7,
    forward_flops=2000, training_flops=6000, flags=tuple(make_flags("Of the plan.")), code="c0de",
)  # fmt: skip
ENDED = {"status": "ok", "error": None, "ledger": {"wall_s": 3.0}}
OF_THE_SWEEP = {
    "schema_version", "run_id", "model", "family", "variant", "seed", "num_params", "started_at", "command", "config",
    "config_key", "environment", "cost", "flags", "code_checksum",
}  # fmt: skip
FOUND = [field.name for field in fields(RunRecord) if field.name not in OF_THE_SWEEP]


def record_of(**found: Any) -> RunRecord:
    return assembled(
        VARIANT, 3, {**ENDED, **found}, run_id="run", started_at=datetime(2026, 11, 29, tzinfo=UTC), command="python",
        environment=make_environment(),
    )  # fmt: skip


@pytest.mark.parametrize("name", FOUND)
def test_what_a_worker_found_goes_into_the_field_of_its_name(name: str) -> None:
    assert getattr(record_of(**{name: "found"}), name) == "found"


def test_what_it_did_not_find_is_unknown() -> None:
    record = record_of()
    left = {name: getattr(record, name) for name in FOUND if name not in ENDED}
    assert left.pop("history") == [] and set(left.values()) == {None}


def test_what_only_the_sweep_knows_is_never_the_workers_to_say() -> None:
    record = record_of(config_key="forged", seed=9, flags=make_flags("Of the run."), step_traffic_bytes={"weights": 5})
    assert (record.config_key, record.seed, record.code_checksum) == (VARIANT.key, 3, "c0de")
    assert [flag["evidence"] for flag in record.flags] == ["Of the plan.", "Of the run."]
    assert record.cost is not None and record.cost["training_gflops"] == 6e-6
    assert record.cost["step_traffic_bytes"] == {"weights": 5}
