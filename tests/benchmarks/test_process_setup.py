"""Whatever is compared was computed alike: each kind of worker, asked where a model is about to be built in it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.peers.inputs import write_inputs
from benchmarks.peers.process import ArmProcess
from benchmarks.peers.task import Task
from benchmarks.selfcheck.__main__ import worker as selfcheck_worker
from benchmarks.sweep.runner import WORKLOAD
from benchmarks.tune.tune import trial_worker
from benchmarks.workers.client import Worker, serving
from benchmarks.workers.server import carry_out, environment
from benchmarks.workers.slot import JobError, Slot
from fmnist_zoo import create_model
from fmnist_zoo.data import Dataset
from tests.benchmarks.test_tune import real_job
from tests.benchmarks.test_worker import job

PROBE = """
import json, os, torch
tiny = torch.full((2**18,), 1e-40)  # so many that all threads have some
found = {"denormals": (tiny * 1).count_nonzero().item(), "threads": torch.get_num_threads(), **os.environ}
found["no_input"] = os.path.samestat(os.fstat(0), os.stat(os.devnull))
with open(os.environ["PROBE"], "w") as file:
    json.dump(found, file)
os._exit(7)
"""
"""A module of models as another package may bring it: the registry imports it, and this one looks and ends there."""
VARIABLES = ("OMP_NUM_THREADS", *(name for name in environment() if name.startswith(("MALLOC_", "GLIBC_"))))


def run(small: Dataset, folder: Path) -> str:
    with Slot(lambda: Worker(command=serving(WORKLOAD))) as slot:
        return str(slot.run(job(folder, plugins=["probe"]))["error"])


def trial(small: Dataset, folder: Path) -> str:
    with Slot(trial_worker) as slot:
        return str(slot.run(real_job())["error"])


def selfcheck(small: Dataset, folder: Path) -> str:
    with Slot(selfcheck_worker) as slot:
        return str(
            slot.run({"config": real_job()["config"], "device": "cpu", "data_dir": None, "comparisons": 1})["error"]
        )


def peer(small: Dataset, folder: Path) -> str:
    write_inputs(folder, small.train, small.test, create_model("tutorial_mlp_128_64"))
    task = Task(arm="fmnist_zoo_fp32", folder=str(folder), batch_size=50, epochs=1)
    process = ArmProcess(task, small.test.labels.numpy())
    with pytest.raises(JobError) as failed:
        process.epoch()
    process.close()
    return str(failed.value)


@pytest.mark.parametrize("kind", [run, trial, selfcheck, peer])
def test_every_process_that_trains_computes_alike(
    kind: Callable[[Dataset, Path], str], small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "probe-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[fmnist_zoo.models]\nprobe = probe_of_set_up\n")
    (tmp_path / "probe_of_set_up.py").write_text(PROBE)
    create_model("mlp")  # the registry of this process has imported what there is
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PROBE", str(tmp_path / "found.json"))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert "exit code 7" in kind(small, tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["denormals"] == 0 and found["threads"] == 2
    assert found["no_input"]
    assert {name: found[name] for name in VARIABLES} == {name: environment()[name] for name in VARIABLES}


def test_a_run_in_this_process_leaves_its_arithmetic_as_it_was() -> None:
    def flushed() -> bool:
        return bool(torch.tensor([1e-40]) * 1 == 0)

    class Looks:
        def __call__(self, job: Any, emit: Any) -> dict[str, Any]:
            return {"flushed": flushed()}

    assert not flushed()
    assert carry_out(Looks(), {"config": {}}, print)["flushed"]
    assert not flushed()
