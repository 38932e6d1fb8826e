"""Resuming: skip runs that an earlier sweep finished with the same run key.

Run key: configuration, seed, code of model and training, data, versions and hardware. Documentation, tables and speed
measurements are excluded.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.records.arms import ArmsRecord, arm_groups
from benchmarks.records.record import Parts, RunRecord, config_key, difference, machine_parts, record_parts
from benchmarks.records.schema import Environment
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.job import CheckpointJob
from benchmarks.sweep.plan import Plan, Variant

RunKey = tuple[str, int]
"""Configuration key and seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """Conditions of a sweep, apart from configurations.

    Attributes:
        environment: of the machine.
        dataset: checksum of the data.
    """

    environment: Environment
    dataset: str

    def parts(self, key: str, seed: int, code: str | None) -> Parts:
        """Parts of a run key.

        Args:
            key: of its configuration.
            seed: of the run.
            code: `benchmarks.sweep.code_checksum.code_checksum`.
        """
        return {
            "configuration": key, "seed": seed, "code": code, "data": self.dataset, **machine_parts(self.environment)
        }  # fmt: skip


def content_key(parts: Parts) -> str:
    """SHA-256 (hex) of the parts, in any order."""
    return config_key(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """Work to skip.

    Attributes:
        runs: records of ok runs, and of failed ones that are not retried.
        comparisons: of arms, by key.
        again: number of runs to repeat, by difference of the run key.
        num_to_do: remaining runs.
    """

    runs: Mapping[RunKey, RunRecord] = field(default_factory=dict)
    comparisons: frozenset[str] = frozenset()
    again: Mapping[str, int] = field(default_factory=dict)
    num_to_do: int = 0

    def __str__(self) -> str:
        """One line: what is skipped, and why the rest is repeated."""
        failed = sum(record.status != "ok" for record in self.runs.values())
        words = [f"{_runs(len(self.runs) - failed)} done"]
        if failed:
            words.append(f"{failed} failed and skipped (--retry-failed repeats them)")
        again = [f"{_runs(count)} made {how} will be repeated" for how, count in sorted(self.again.items())]
        return "; ".join([f"resuming: {', '.join(words)}, {self.num_to_do} to do", *again])


def done_before(
    plan: Plan,
    conditions: Circumstances,
    records: Iterable[RunRecord],
    comparisons: Iterable[ArmsRecord],
    *,
    retry_failed: bool,
    since: str = "",
    kept: Collection[str] = (),
) -> Done:
    """What earlier sweeps have done of a plan.

    Args:
        plan: of the sweep.
        conditions: of the sweep.
        records: of this machine.
        comparisons: of arms, of this machine.
        retry_failed: repeat runs that are not `ok`.
        since: UTC, as in records; ignore earlier runs.
        kept: record fields, such as `weights`, naming files that an ok run must have left.
    """
    found: dict[RunKey, list[RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.run_id):
        if record.started_at >= since:
            found.setdefault((record.config_key, record.seed), []).append(record)
    runs, again = dict[RunKey, RunRecord](), Counter[str]()
    wanted = [(variant, seed) for variant in plan.variants for seed in plan.seeds]
    for variant, seed in wanted:
        parts = conditions.parts(variant.key, seed, variant.code)
        same, how = _same(found.get((variant.key, seed), []), parts, kept)
        if same is not None and (same.status == "ok" or not retry_failed):
            runs[variant.key, seed] = same
        elif same is None and how is not None:
            again[how] += 1
    return Done(
        runs=runs,
        comparisons=_compared(plan, conditions, runs, comparisons),
        again=again,
        num_to_do=len(wanted) - len(runs),
    )


class CheckpointFiles:
    """Checkpoint files of a sweep's unfinished runs.

    Args:
        machine_dir: the machine's results folder.
        conditions: of the sweep; None if unknown, which disables checkpoints.
        options: of the sweep.
        warn: called if a file can't be removed.
    """

    def __init__(
        self,
        machine_dir: Path,
        conditions: Circumstances | None,
        options: RunConfig,
        warn: Callable[[str], None],
    ) -> None:
        self._machine_dir, self._conditions, self._options, self._warn = machine_dir, conditions, options, warn

    def job(self, variant: Variant, seed: int) -> CheckpointJob | None:
        """A run's checkpoint job; None without checkpoints, old or new."""
        if (path := self._path(variant, seed)) is None:
            return None
        if not self._options.resumes:
            try:
                path.unlink(missing_ok=True)  # this run starts over
            except OSError as error:
                self._warn(f"this run saves no checkpoint: the old one can't be removed: {error}")
                return None
        if self._options.checkpoint_every is None and not path.exists():
            return None
        return {"path": str(path), "key": path.stem, "every_epochs": self._options.checkpoint_every}

    def forget(self, variant: Variant, record: RunRecord) -> None:
        """Remove the checkpoint of an ok or diverged run; others may be retried."""
        if record.status in ("ok", "diverged") and (path := self._path(variant, record.seed)) is not None:
            with contextlib.suppress(OSError):  # the next --resume tries again
                path.unlink(missing_ok=True)

    def _path(self, variant: Variant, seed: int) -> Path | None:
        if self._conditions is None:
            return None
        return checkpoint_path(self._machine_dir, self._conditions.parts(variant.key, seed, variant.code))


def checkpoint_path(machine_dir: Path, parts: Parts) -> Path:
    """Checkpoint file of an unfinished run."""
    return machine_dir / "checkpoints" / f"{content_key(parts)}.safetensors"


def decided(variant: Variant, records: Iterable[RunRecord]) -> dict[str, str | None] | None:
    """Precision and engine of the variant's finished runs: a measured choice holds for all seeds."""
    for record in records:
        if record.config_key == variant.key and record.status == "ok" and record.execution is not None:
            return {name: record.execution[name] for name in ("precision", "engine", "reason")}  # type: ignore[literal-required]
    return None


def _same(records: list[RunRecord], wanted: Parts, kept: Collection[str]) -> tuple[RunRecord | None, str | None]:
    """The latest record with the same run key, preferably ok; else how the latest one differs."""
    differences = [(record, difference(record_parts(record), wanted) or _without(record, kept)) for record in records]
    same = [record for record, how in differences if how is None]
    good = [record for record in same if record.status == "ok"]
    if same:
        return (good or same)[-1], None
    return None, differences[-1][1] if differences else None


def _without(record: RunRecord, kept: Collection[str]) -> str | None:
    """Files missing from an ok run; none if a flag says they could not be made."""
    if record.status != "ok" or any(flag["kind"] == "not_measured" for flag in record.flags):
        return None
    return " and ".join(f"without {name}" for name in kept if getattr(record, name) is None) or None


def _compared(
    plan: Plan, conditions: Circumstances, runs: Mapping[RunKey, RunRecord], comparisons: Iterable[ArmsRecord]
) -> frozenset[str]:
    """Comparisons of arms newer than all runs of these arms, on the same machine with the same versions."""
    latest = {
        comparison.key: comparison.started_at
        for comparison in sorted(comparisons, key=lambda comparison: comparison.started_at)
        if machine_parts(comparison.environment) == machine_parts(conditions.environment)
    }
    found = set[str]()
    for group in arm_groups([(one.config, one.family) for one in plan.variants if one.failure is None]):
        planned = {(variant.key, seed) for variant in plan.variants if variant.key in group.keys for seed in plan.seeds}
        if planned <= set(runs) and latest.get(group.key, "") >= max(runs[key].started_at for key in planned):
            found.add(group.key)
    return frozenset(found)


def _runs(count: int) -> str:
    return f"{count} run" if count == 1 else f"{count} runs"
