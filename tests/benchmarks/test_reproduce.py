"""The one command for everything: in order, restartable, in one file, and with a deadline."""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.measure.machine_details import results_folder
from benchmarks.peers import __main__ as peers
from benchmarks.records import selfcheck as results
from benchmarks.records.selfcheck import Selfcheck
from benchmarks.records.store import RecordStore
from benchmarks.reproduce import __main__ as module
from benchmarks.reproduce import gpu_tests
from benchmarks.reproduce import steps as all_steps
from benchmarks.reproduce.__main__ import pack, reproduce
from benchmarks.reproduce.steps import (
    Progress,
    ReproduceConfig,
    command_of,
    gpu_tests_step,
    peers_step,
    selfcheck_step,
    sweep_step,
    timm_step,
)
from benchmarks.run import Outcome
from benchmarks.selfcheck import __main__ as selfcheck
from benchmarks.selfcheck.config import SelfcheckConfig
from benchmarks.sweep.config import RunConfig
from fmnist_zoo.registry import FAMILIES
from tests.benchmarks.sample_records import make_record, write_records
from tests.benchmarks.sample_selfcheck import make_selfcheck

TINY: dict[str, Any] = {"budget": ("flops:2e9",), "precision": ("fp32",), "engine": ("eager",)}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    first = RunConfig(models=("mlp",), set=("mlp.hidden=16",), **TINY)
    second = RunConfig(models=("tutorial_mlp_128_64",), **TINY)
    monkeypatch.setattr(module, "STEPS", {"the first": sweep_step(first), "the second": sweep_step(second)})


def models(out: Path) -> list[str]:
    return sorted(record.model for folder in out.glob("*/runs") for record in RecordStore(folder.parent).read_all()[0])


def test_the_most_valuable_comes_first() -> None:
    assert list(all_steps.STEPS) == [
        "main job",
        "main job with five seeds",
        "GPU tests",
        "tutorial nets",
        "comparison with other frameworks",
        "all precisions and engines",
        "all kinds of budget",
        "profiles of a training step",
        "noise floor of this machine",
        "accuracy within seconds",
        "optimizers, rates and depths",
        "timm models",
    ]


def test_a_sweep_is_written_down_as_the_command_that_asks_for_it() -> None:
    assert command_of(RunConfig(models=("all",))) == "python -m benchmarks.run --models all"
    profiled = RunConfig(models=("all",), budget=("epochs:1",), seeds=1, profile=True)
    assert command_of(profiled) == "python -m benchmarks.run --models all --budget epochs:1 --seeds 1 --profile"
    assert command_of(RunConfig(models=("mlp",), data_dir=Path("a b"))).endswith("--data-dir 'a b'")


def test_a_step_of_several_sweeps_goes_on_until_one_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [
        Outcome(exit_code=1, complete=True, machine="here"),
        Outcome(exit_code=0, complete=False, machine=None),
        Outcome(exit_code=130, complete=False, machine="here"),
    ]
    asked = []

    def sweep(config: RunConfig, command: str, **others: object) -> Outcome:
        asked.append(command)
        return script[len(asked) - 1]

    monkeypatch.setattr(all_steps, "sweep", sweep)
    step = sweep_step(*(RunConfig(models=(name,)) for name in ("mlp", "cnn", "lstm", "vit")))
    outcome = step(ReproduceConfig(out=tmp_path, device="cpu"), Progress(since="2026", deadline=None))
    assert (outcome.exit_code, outcome.complete, outcome.machine) == (130, False, "here")
    assert [command.split()[-1] for command in asked] == ["mlp", "cnn", "lstm"]


def test_every_arm_is_each_precision_and_engine_that_the_device_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunConfig] = []

    def sweep(config: RunConfig, command: str, **others: object) -> Outcome:
        asked.append(config)
        return Outcome(exit_code=0, complete=True, machine="here")

    monkeypatch.setattr(all_steps, "sweep", sweep)
    progress = Progress(since="2026", deadline=None)
    assert all_steps.every_arm_step(ReproduceConfig(out=tmp_path, device="cpu"), progress).complete
    assert [config.models for config in asked] == [(family,) for family in FAMILIES]
    assert {config.engine for config in asked} == {("eager", "compile")}
    assert all(config.precision[0] == "fp32" and "tf32" not in config.precision for config in asked)
    assert {config.seeds for config in asked} == {3}


def test_the_noise_is_measured_once_and_then_stands_below_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, calls = results_folder(tmp_path, "cpu"), []  # type: ignore[var-annotated]

    def check(config: SelfcheckConfig, command: str) -> tuple[Path, Selfcheck]:
        calls.append(command)
        return results.write(folder, make_selfcheck()), make_selfcheck()

    monkeypatch.setattr(selfcheck, "selfcheck", check)
    write_records(folder, make_record())
    options = ReproduceConfig(out=tmp_path, device="cpu")
    progress = Progress(since="2026-11-24T00:00:00Z", deadline=None)
    assert selfcheck_step(options, progress).complete and selfcheck_step(options, progress).complete
    assert calls == ["python -m benchmarks.selfcheck"]
    assert "Noise floor of this machine" in (folder / "README.md").read_text()
    over = Progress(since="2999", deadline=0.0)
    assert not selfcheck_step(options, over).complete and len(calls) == 1


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that seems to have a CUDA device; its folder is named `gpu`."""
    monkeypatch.setattr("fmnist_zoo.training.device.resolve_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr(all_steps, "results_folder", lambda out, name: out / "gpu")


@pytest.mark.usefixtures("on_cuda")
def test_the_tests_for_a_gpu_are_run_until_they_pass_and_what_they_said_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.py"
    monkeypatch.setattr(gpu_tests, "COMMAND", (sys.executable, str(script)))
    report = tmp_path / "gpu" / gpu_tests.REPORT
    options, progress = ReproduceConfig(out=tmp_path), Progress(since="2026-11-21T10:00:00Z", deadline=None)
    over = Progress(since="2026-11-21T10:00:00Z", deadline=0.0)
    assert not gpu_tests_step(options, over).complete and not report.exists()

    script.write_text("print('1 failed: ä'); raise SystemExit(1)", encoding="utf-8")
    outcome = gpu_tests_step(options, progress)
    assert (outcome.exit_code, outcome.complete, outcome.machine) == (1, False, "gpu")
    assert report.read_text().startswith("failed ") and "1 failed: ä" in report.read_text()
    assert str(report) in capsys.readouterr().out

    script.write_text("print('1 passed')")
    assert gpu_tests_step(options, progress).complete and "1 passed" in report.read_text()
    script.write_text("raise SystemExit('they are not run again')")
    assert gpu_tests_step(options, progress).complete
    assert not gpu_tests_step(options, Progress(since="2999", deadline=None)).complete


@pytest.mark.usefixtures("on_cuda")
def test_where_there_are_no_tests_that_is_said_and_the_rest_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_tests, "CHECKOUT", tmp_path)
    assert gpu_tests_step(ReproduceConfig(out=tmp_path), Progress(since="2026", deadline=None)).complete
    assert "skipped: the tests are not installed" in capsys.readouterr().out


def test_tests_that_hang_are_ended_and_have_not_passed(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('at first', flush=True); import time; time.sleep(600)")
    assert not gpu_tests.run_tests(tmp_path, command=command, timeout_s=2.0)
    report = (tmp_path / gpu_tests.REPORT).read_text()
    assert "at first" in report and "timed out after 2 s" in report and gpu_tests.passed_at(tmp_path) is None


def test_a_processor_needs_no_tests_for_a_gpu(tmp_path: Path) -> None:
    outcome = gpu_tests_step(ReproduceConfig(out=tmp_path, device="cpu"), Progress(since="2026", deadline=None))
    assert outcome.complete and list(tmp_path.iterdir()) == []


def test_nets_that_a_processor_is_too_slow_for_are_left_to_a_gpu(tmp_path: Path) -> None:
    options = ReproduceConfig(out=tmp_path, device="cpu")
    assert timm_step(options, Progress(since="2026", deadline=None)).complete and list(tmp_path.iterdir()) == []


def test_the_comparison_is_done_once_and_again_when_a_new_reproduction_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def compare(options: peers.PeersConfig) -> None:
        calls.append(options.device)
        folder = results_folder(options.out, "cpu")
        (folder / peers.FIGURES).write_text(json.dumps({"measured_at": "2026-11-21T10:00:00Z"}))

    monkeypatch.setattr(peers, "compare", compare)
    options = ReproduceConfig(out=tmp_path, device="cpu")
    early, late = (Progress(since=f"2026-11-21T{hour}:00:00Z", deadline=None) for hour in ("09", "11"))
    over = Progress(since="2026-11-21T11:00:00Z", deadline=0.0)
    assert peers_step(options, early).complete and peers_step(options, early).complete
    assert calls == ["cpu"]
    assert not peers_step(options, over).complete and calls == ["cpu"]
    assert peers_step(options, late).complete and calls == ["cpu", "cpu"]


def test_a_part_does_not_end_a_whole_that_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def good(options: ReproduceConfig, progress: Progress) -> Outcome:
        return Outcome(exit_code=0, complete=True, machine=None)

    def interrupted(options: ReproduceConfig, progress: Progress) -> Outcome:
        return Outcome(exit_code=130, complete=False, machine=None)

    monkeypatch.setattr(module, "STEPS", {"a": good, "b": interrupted, "c": good})
    state = tmp_path / module.STATE
    assert reproduce(ReproduceConfig(out=tmp_path)) == 130 and state.is_file()
    assert reproduce(ReproduceConfig(out=tmp_path, step=("a",))) == 0 and state.is_file()
    monkeypatch.setattr(module, "STEPS", {"a": good})
    assert reproduce(ReproduceConfig(out=tmp_path)) == 0 and not state.exists()


@pytest.mark.usefixtures("steps")
def test_it_stops_at_the_deadline_goes_on_from_there_and_then_begins_anew(tmp_path: Path) -> None:
    out, tar = tmp_path / "out", tmp_path / "all.tar.gz"
    assert reproduce(ReproduceConfig(out=out, device="cpu", minutes=0.0)) == 1
    assert models(out) == [] and (out / module.STATE).is_file()

    assert reproduce(ReproduceConfig(out=out, device="cpu", step=("first",))) == 0
    assert models(out) == ["mlp"]
    # As after a stop in between: the state is still there, and what is done is not done again.
    first = next(out.glob("*/runs/*.json"))
    (out / module.STATE).write_text(json.dumps({"started_at": json.loads(first.read_text())["started_at"]}))
    assert reproduce(ReproduceConfig(out=out, device="cpu", tar=tar)) == 0
    assert models(out) == ["mlp", "tutorial_mlp_128_64"]
    assert not (out / module.STATE).exists()

    with tarfile.open(tar) as archive:
        names = archive.getnames()
    assert any("/figures/" in name for name in names)  # drawn once, at the end
    assert "README.md" in names and sum(name.endswith("/machine.json") for name in names) == 1
    assert sum("/runs/" in name and name.endswith(".json") for name in names) == 2
    assert sum("/runs/" in name and name.endswith(".safetensors") for name in names) == 2
    assert sum("test-labels-" in name for name in names) == 1

    assert reproduce(ReproduceConfig(out=out, device="cpu", step=("first",))) == 0
    assert models(out) == ["mlp", "mlp", "tutorial_mlp_128_64"]


def test_an_unknown_step_and_a_damaged_state_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="choose from: main job"):
        reproduce(ReproduceConfig(out=tmp_path, step=("nonsense",)))
    (tmp_path / module.STATE).write_text("{")
    with pytest.raises(ValueError, match="is damaged"):
        reproduce(ReproduceConfig(out=tmp_path))


def test_weights_and_hidden_files_stay_out_of_the_tar(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "machine")
    store.write(make_record())
    for name in ("weights/x/weights.safetensors", "runs/.half.tmp"):
        path = tmp_path / "machine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "README.md").write_text("index")
    pack(tmp_path, "machine", tmp_path / "some" / "where.tar")
    with tarfile.open(tmp_path / "some" / "where.tar") as archive:
        names = archive.getnames()
    assert len(names) == 2 and not any("weights" in name or "half" in name for name in names)
