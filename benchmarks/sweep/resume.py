"""What need not be done again: runs that an earlier sweep finished under the same conditions, told by a content key.

The key is of everything that decides how a run goes: configuration and seed, the code of model and training, the data,
the versions of what computes, and the hardware. Documentation, tables and how speed is measured aren't part of it.
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
    """Under which a sweep runs, its configurations apart.

    Attributes:
        environment: of the machine.
        dataset: checksum of the data.
    """

    environment: Environment
    dataset: str

    def parts(self, key: str, seed: int, code: str | None) -> Parts:
        """What makes a run the same as another one.

        Args:
            key: of its configuration.
            seed: of the run.
            code: `benchmarks.sweep.code_checksum.code_checksum`.
        """
        return {
            "configuration": key, "seed": seed, "code": code, "data": self.dataset, **machine_parts(self.environment)
        }  # fmt: skip


def content_key(parts: Parts) -> str:
    """SHA-256 (hex) of the parts; their order doesn't matter."""
    return config_key(parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What need not be done again.

    Attributes:
        runs: their records: those that are ok, and those that failed and aren't to be tried again.
        comparisons: of arms, by their key.
        again: how many runs have been made otherwise and are made again, by how that was.
        num_to_do: runs that are left.
    """

    runs: Mapping[RunKey, RunRecord] = field(default_factory=dict)
    comparisons: frozenset[str] = frozenset()
    again: Mapping[str, int] = field(default_factory=dict)
    num_to_do: int = 0

    def __str__(self) -> str:
        """One line for people: what is skipped, and why the rest isn't."""
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
    """What earlier sweeps have left of a plan.

    Args:
        plan: all that is wanted.
        conditions: of the sweep that is about to begin.
        records: of this machine.
        comparisons: of arms, of this machine.
        retry_failed: do runs again that ended otherwise than `ok`.
        since: UTC, as records write it; what began before doesn't count.
        kept: fields of a record, such as `weights`, that name what a good run must have left on the disk.
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
    """Where the states of a sweep's runs are kept while they are under way.

    Args:
        machine_dir: the machine's folder of results.
        conditions: of the sweep; None where they aren't known, and then nothing is kept.
        options: what was asked of the sweep.
        warn: told of a file that can't be removed.
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
        """What a run is asked to keep; None where it isn't to, and nothing of it is there."""
        if (path := self._path(variant, seed)) is None:
            return None
        if not self._options.resumes:
            try:
                path.unlink(missing_ok=True)  # this run begins anew
            except OSError as error:
                self._warn(f"this run saves no checkpoint: the old one can't be removed: {error}")
                return None
        if self._options.checkpoint_every is None and not path.exists():
            return None
        return {"path": str(path), "key": path.stem, "every_epochs": self._options.checkpoint_every}

    def forget(self, variant: Variant, record: RunRecord) -> None:
        """A run that is through needs none, nor does one that would diverge again; others may be tried again."""
        if record.status in ("ok", "diverged") and (path := self._path(variant, record.seed)) is not None:
            with contextlib.suppress(OSError):  # the next sweep that resumes tries again
                path.unlink(missing_ok=True)

    def _path(self, variant: Variant, seed: int) -> Path | None:
        if self._conditions is None:
            return None
        return checkpoint_path(self._machine_dir, self._conditions.parts(variant.key, seed, variant.code))


def checkpoint_path(machine_dir: Path, parts: Parts) -> Path:
    """Where the state of a run that is under way is kept."""
    return machine_dir / "checkpoints" / f"{content_key(parts)}.safetensors"


def decided(variant: Variant, records: Iterable[RunRecord]) -> dict[str, str | None] | None:
    """Precision and engine of the variant's finished runs: what was decided by measurement holds for all its seeds."""
    for record in records:
        if record.config_key == variant.key and record.status == "ok" and record.execution is not None:
            return {name: record.execution[name] for name in ("precision", "engine", "reason")}  # type: ignore[literal-required]
    return None


def _same(records: list[RunRecord], wanted: Parts, kept: Collection[str]) -> tuple[RunRecord | None, str | None]:
    """The latest record of the same run, an ok one rather than another; else how the latest differs."""
    differences = [(record, difference(record_parts(record), wanted) or _without(record, kept)) for record in records]
    same = [record for record, how in differences if how is None]
    good = [record for record in same if record.status == "ok"]
    if same:
        return (good or same)[-1], None
    return None, differences[-1][1] if differences else None


def _without(record: RunRecord, kept: Collection[str]) -> str | None:
    """What a good run should have left and didn't; a thing that couldn't be had, as a flag says, isn't missed again."""
    if record.status != "ok" or any(flag["kind"] == "not_measured" for flag in record.flags):
        return None
    return " and ".join(f"without {name}" for name in kept if getattr(record, name) is None) or None


def _compared(
    plan: Plan, conditions: Circumstances, runs: Mapping[RunKey, RunRecord], comparisons: Iterable[ArmsRecord]
) -> frozenset[str]:
    """Comparisons of arms that were made after all runs of these arms, on the same machine with the same versions."""
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
