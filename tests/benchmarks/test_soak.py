"""A long sweep of short runs: what the process of the sweep holds must not grow with the number of runs."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import make_plan
from benchmarks.sweep.runner import Runner
from benchmarks.workers import slot

NUM_VARIANTS, NUM_SEEDS = 10, 30
RESTARTED = 12
"""The worker of every so many runs is ended, as for want of memory; the others wait for their turn."""
WARM, GROWTH_MIB = 50, 20.0


class Watching(Display):
    """Looks at the process after each run, in place of showing anything."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    def run_finished(self, record: RunRecord) -> None:
        super().run_finished(record)
        self._look()


@pytest.mark.soak
def test_three_hundred_runs_leave_nothing_behind_in_the_process_of_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = RunConfig(
        models=("tutorial_mlp_128_64",), device="cpu", seeds=NUM_SEEDS, budget=("flops:1e8",), precision=("fp32",),
        engine=("eager",), lr=tuple(0.001 * (1 + index) for index in range(NUM_VARIANTS)),
    )  # fmt: skip
    plan = make_plan(options)
    plan = dataclasses.replace(plan, measures=dataclasses.replace(plan.measures, limit_s=0.05))
    assert len(plan.variants) * len(plan.seeds) == 300
    process, resident_mib, handles = psutil.Process(), list[float](), list[int]()

    def look() -> None:
        monkeypatch.setattr(slot, "FREE_SHARE", 1.0 if len(handles) % RESTARTED == RESTARTED - 1 else 0.0)
        resident_mib.append(process.memory_info().rss / 2**20)
        handles.append(process.num_fds())

    options = RunConfig(out=tmp_path)
    before = process.num_fds()
    runner = Runner(plan, options, Watching(look), command="soak")
    results = runner.run()
    shown = ", ".join(f"{count}: {resident_mib[count - 1]:.1f}" for count in (1, 10, *range(WARM, 301, WARM)))
    with capsys.disabled():
        print(f"\nresident MiB of the sweep's process after so many runs: {shown}")
        print(f"open files: {before} before, {min(handles)} to {max(handles)} during, {process.num_fds()} after")
    assert [record.status for record in results.records] == ["ok"] * 300 and results.tables_complete
    assert len(RecordStore(runner.store.machine_dir).read_all()[0]) == 300
    assert max(resident_mib[WARM:]) - resident_mib[WARM - 1] < GROWTH_MIB
    assert max(handles[WARM:]) <= max(handles[:WARM]) and process.num_fds() <= before
    assert process.children(recursive=True) == []
    kinds = [flag["kind"] for record in results.records for flag in record.flags]
    assert kinds.count("worker_restarted") == 300 // RESTARTED - 1  # after the last run there is none to start again
