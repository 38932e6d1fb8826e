"""The record of a run: what the plan, the machine and the worker know of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from benchmarks.plan import Variant
from benchmarks.record import RunRecord
from benchmarks.schema import Cost, Environment


def assembled(
    variant: Variant,
    seed: int,
    result: dict[str, Any],
    *,
    run_id: str,
    started_at: datetime,
    command: str,
    environment: Environment,
) -> RunRecord:
    """A run's record.

    Args:
        variant: what was run.
        seed: of the run.
        result: what the worker knows, by field of the record, with a whole ledger; all that is missing is None.
        run_id: see `benchmarks.record.run_id`.
        started_at: UTC.
        command: the command line.
        environment: of the machine.
    """
    return RunRecord(
        run_id=run_id,
        status=result["status"],
        error=result["error"],
        model=variant.config["model"],
        family=variant.family,
        variant=variant.label,
        seed=seed,
        num_params=variant.num_params,
        started_at=f"{started_at:%Y-%m-%dT%H:%M:%S}Z",
        command=command,
        config=variant.config,
        config_key=variant.key,
        dataset=result.get("dataset"),
        environment=environment,
        execution=result.get("execution"),
        num_steps=result.get("num_steps"),
        num_epochs=result.get("num_epochs"),
        history=result.get("history", []),
        ledger=result["ledger"],
        metrics=result.get("metrics"),
        throughput=result.get("throughput"),
        latency=result.get("latency"),
        memory=result.get("memory"),
        roofline=result.get("roofline"),
        compilation=result.get("compilation"),
        cost=variant_cost(variant, result.get("step_traffic_bytes")),
        step_shares=result.get("step_shares"),
        batch_sizes=result.get("batch_sizes"),
        load=result.get("load"),
        energy=result.get("energy"),
        flags=[*variant.flags, *result.get("flags", [])],
        predictions=result.get("predictions"),
        weights=result.get("weights"),
        profile=result.get("profile"),
        code_checksum=variant.code,
    )


def variant_cost(variant: Variant, step_traffic_bytes: dict[str, int] | None) -> Cost:
    """The model's work for an image, and what a step of the run moves, where the run came so far."""
    return {
        "forward_gmacs": variant.flops.forward_flops / 2e9,
        "forward_gflops": variant.flops.forward_flops / 1e9,
        "training_gflops": variant.flops.training_flops / 1e9,
        "step_traffic_bytes": step_traffic_bytes,
    }
