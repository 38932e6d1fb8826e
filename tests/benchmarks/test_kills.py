"""Real sweeps that are killed with SIGKILL: nothing finished is lost, and the end is that of one never killed."""

import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import tyro

from benchmarks.measure.roofline import roofline_path
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import make_plan
from benchmarks.sweep.runner import WORKLOAD, Runner
from benchmarks.workers.slot import InProcess
from fmnist_zoo.files import TEMPORARY, remove_leftovers
from tests.benchmarks.kills import MODES, KilledSweep, Mode, accuracy_table, outcome

OPTIONS = ("--models", "mlp", "--batch-size", "1000", "--budget", "epochs:3", "--lr", "0.01")
SMALL = ("--set", "mlp.hidden=16", "--seeds", "2")
SEED = 20261121
"""Of the moments; each failure says it, since it makes the same kills again, as far as clocks allow."""


def sweep(tmp_path: Path, name: str, *options: str, seed: int = SEED) -> KilledSweep:
    return KilledSweep(
        out=tmp_path / name,
        options=(*OPTIONS, *options),
        cache=tmp_path / "cache",
        generator=random.Random(seed),
    )


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, as the workers of these sweeps have it."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def never_killed(out: Path, *options: str) -> Runner:
    """The same sweep, carried out in this process."""
    plan = make_plan(tyro.cli(RunConfig, args=[*OPTIONS, *options, "--device", "cpu", "--deterministic"]))
    runner = Runner(
        plan, RunConfig(out=out), Display(), command="run", new_worker=lambda variables: InProcess(WORKLOAD)
    )
    runner.run()
    return runner


@pytest.mark.usefixtures("alone")
def test_a_sweep_killed_three_times_ends_like_one_never_killed(
    tmp_path: Path, roofline_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker alone, the parent alone, and all of it."""
    never = never_killed(tmp_path / "never", *SMALL)
    expected = never.store.read_all()[0]
    killed = sweep(tmp_path, "killed", *SMALL)
    with monkeypatch.context() as patch:  # what measuring it takes is spared
        patch.setenv("FMNIST_ZOO_CACHE", str(killed.cache))
        kept = roofline_path(never.environment)
    kept.parent.mkdir(parents=True)
    shutil.copy(roofline_file, kept)
    killed.go_on(["worker", "parent"])
    killed.go_on(["all"])
    assert killed.go_on([]) and sum(killed.kills.values()) == 3
    assert outcome(killed.records()) == outcome(expected) and len(expected) == 2
    assert accuracy_table(killed.records()) == accuracy_table(expected)
    assert not list(killed.folder().glob("checkpoints/*"))


@pytest.mark.kills
def test_a_hundred_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = (
        "--set",
        "mlp.hidden=16",
        "mlp.hidden=24",
        "--ema-decay",
        "0.9",
        "--augmentation",
        "flip,shift:1",
        "--seeds",
        "3",
    )
    started, sweeps, resumed = time.monotonic(), 0, 0
    never = sweep(tmp_path, "never", *options)
    assert never.go_on([])
    expected, table = outcome(never.records()), accuracy_table(never.records())
    total = dict.fromkeys(MODES, 0)
    while sum(total.values()) < 100:
        killed = sweep(tmp_path, f"killed-{sweeps}", *options, seed=SEED + sweeps)
        through = False
        while not through:
            left = 100 - sum(total.values()) - sum(killed.kills.values())
            modes: list[Mode] = killed.generator.choices(MODES, k=min(left, killed.generator.randint(1, 3)))
            through = killed.go_on(modes)
        sweeps += 1
        total = {mode: count + killed.kills[mode] for mode, count in total.items()}
        assert outcome(killed.records()) == expected
        assert accuracy_table(killed.records()) == table
        for half_written in killed.folder().rglob(f".*{TEMPORARY}"):  # a later sweep clears them away
            os.utime(half_written, (0, 0))
        remove_leftovers(killed.folder())
        assert not list(killed.folder().rglob(f".*{TEMPORARY}"))
        resumed += sum(flag["kind"] == "resumed" for record in killed.records() for flag in record.flags)
        assert not list(killed.folder().glob("checkpoints/*"))
        with capsys.disabled():
            print(f"{sum(total.values())} kills {total}, {sweeps} sweeps, {time.monotonic() - started:.0f} s")
    assert sum(total.values()) == 100 and resumed > 0
