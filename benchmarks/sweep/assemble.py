"""Assembly of a run's record from plan, machine and worker, with its ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import datetime
from typing import Any

from benchmarks.records.record import RunRecord
from benchmarks.records.schema import Cost, Environment, Flag, Ledger
from benchmarks.sweep.plan import Variant

SECTIONS = ("import", "data", "build", "probe", "first_step", "train", "eval", "measure", "profile", "write")
_FIELDS = {field.name for field in fields(RunRecord)}
_UNKNOWN = {
    field.name: None for field in fields(RunRecord) if field.default is MISSING and field.default_factory is MISSING
}

IN_PROCESS: Flag = {
    "kind": "in_process",
    "evidence": "It ran in the sweep's own process, without a worker's thread and allocator settings.",
    "advice": "Measure again without --in-process before comparing speed and memory.",
}


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
    """A run's record, from the worker's fields, the plan and the machine.

    Args:
        variant: of the run.
        seed: of the run.
        result: the worker's record fields, with a complete ledger; missing ones get their default.
        run_id: see `benchmarks.records.record.run_id`.
        started_at: UTC.
        command: the command line.
        environment: of the machine.
    """
    found = {name: result[name] for name in _FIELDS & result.keys()}
    known = {
        "run_id": run_id,
        "model": variant.config["model"],
        "family": variant.family,
        "variant": variant.label,
        "seed": seed,
        "num_params": variant.num_params,
        "started_at": f"{started_at:%Y-%m-%dT%H:%M:%S}Z",
        "command": command,
        "config": variant.config,
        "config_key": variant.key,
        "environment": environment,
        "cost": variant_cost(variant, result.get("step_traffic_bytes")),
        "flags": [*variant.flags, *result.get("flags", [])],
        "code_checksum": variant.code,
    }
    return RunRecord(**{**_UNKNOWN, **found, **known})  # type: ignore[arg-type]


def variant_cost(variant: Variant, step_traffic_bytes: dict[str, int] | None) -> Cost | None:
    """FLOPs per image and traffic per step, as far as known."""
    if variant.forward_flops is None or variant.training_flops is None:
        return None
    return {
        "forward_gmacs": variant.forward_flops / 2e9,
        "forward_gflops": variant.forward_flops / 1e9,
        "training_gflops": variant.training_flops / 1e9,
        "step_traffic_bytes": step_traffic_bytes,
    }


def complete_ledger(
    seconds: Mapping[str, float] | None, import_s: float | None, wall_s: float, *, unknown: float | None = 0.0
) -> Ledger:
    """The worker's sections, its start and the rest, which add up to the wall time.

    Args:
        seconds: by section; None if the worker died, so that only the wall time is known.
        import_s: until the worker was ready; 0 if it was running, None if it never was ready.
        wall_s: from the request to the result.
        unknown: for missing sections: 0 in a complete run, None in one that ended early.
    """
    parts = (
        dict.fromkeys(SECTIONS)
        if seconds is None
        else {"import": import_s, **{part: seconds.get(part, unknown) for part in SECTIONS[1:]}}
    )
    known = sum(value for value in parts.values() if value is not None)
    ledger = {f"{part}_s": value for part, value in parts.items()}
    return Ledger(**ledger, other_s=None if seconds is None else wall_s - known, wall_s=wall_s)  # type: ignore[typeddict-item]


def batch_flag(asked: Mapping[str, Any], used: Mapping[str, Any], device: str) -> Flag:
    """Flag of a run trained at a smaller batch size than requested.

    Args:
        asked: the requested recipe.
        used: the recipe in use.
        device: which ran out of memory.
    """
    return {
        "kind": "batch_changed",
        "evidence": (
            f"Out of memory on {device} at batch size {asked['batch_size']}: trained at {used['batch_size']}, with the "
            f"learning rate unchanged ({used['lr']:g})."
        ),
        "advice": (
            "Compare it only at that batch size: set a --batch-size that fits, with a matching --lr, for its own row."
        ),
    }


def restart_flag(why: str) -> Flag:
    """Flag of a run whose variant's worker was replaced before it."""
    return {
        "kind": "worker_restarted",
        "evidence": f"{why} A new one did this run, repeating imports and any compilation.",
        "advice": (
            "Speed and accuracy are valid, the wall time is not comparable; to avoid this, sweep fewer variants."
        ),
    }


def changed_flag(changed: Sequence[str]) -> Flag:
    """Flag of a run whose model changed its process's state."""
    return {
        "kind": "process_changed",
        "evidence": f"The run changed its process ({', '.join(changed)}), which was then replaced.",
        "advice": "Make the model restore what it changes: under its own settings it is not comparable.",
    }
