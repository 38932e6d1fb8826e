"""Real worker processes: a whole run on real data, deaths of every kind, and models that misbehave."""

import dataclasses
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure.roofline import kept_roofline
from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.run import main
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.plan import make_plan
from benchmarks.sweep.runner import WORKLOAD
from benchmarks.workers.client import Worker, WorkerDiedError, serving
from benchmarks.workers.server import environment
from fmnist_zoo.checkpoint import load_checkpoint
from fmnist_zoo.registry import load_plugin
from tests.benchmarks.fake_workers import children_left
from tests.benchmarks.test_display_events import events_in

PLUGIN = """
import os, psutil, resource, signal, subprocess, torch
from torch import nn
from fmnist_zoo import register_model

def raises(model):
    raise RuntimeError("a bug of the model's | with a pipe")

def greedy(model):  # it takes 4 MiB an image in training, and may have 3 GiB more than it begins with
    if model.steps == 6:
        model.steps = 7
        limit = psutil.Process().memory_info().vms + 3 * 2**30
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    if model.training:
        torch.empty(len(model.images) << 22, dtype=torch.uint8)

def leaves(model):
    raise SystemExit("a model must not do that")

def diverges(model):
    with torch.no_grad():
        model.layer.weight.fill_(float("nan"))

def segfaults(model):
    print("about to fall")
    os.kill(os.getpid(), signal.SIGSEGV)

def forks(model):
    if model.steps == 6:
        model.steps = 7
        os.fork()  # and both train on
        subprocess.Popen(["sleep", "1000"], start_new_session=True)

def asks(model):
    input("may I? ")

def stops(model):
    breakpoint()

MOODS = [raises, greedy, leaves, diverges, segfaults, forks, asks, stops]

@register_model("moody", family="mlp", summary="misbehaves by its seed", reference="")
class Moody(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10)
        self.seed, self.steps = torch.initial_seed(), 0
    def forward(self, images):
        self.images = images
        self.images = images
        if self.training:
            self.steps += 1
        if self.steps > 5 and self.seed < len(MOODS):
            MOODS[self.seed](self)
        return self.layer(images.flatten(1))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    file = tmp_path / "bad_models.py"
    file.write_text(PLUGIN)
    return file


def job(tmp_path: Path, **changes: Any) -> Any:
    options = RunConfig(
        models=("mlp",), device="cpu", budget=("flops:2e9",), set=("mlp.hidden=16",), precision=("fp32",)
    )
    config = make_plan(options).variants[0].config
    return {
        "task": "run", "config": config, "seed": 0, "run_id": "20261121T210000.000Z-mlp-00000000-s0", "device": "cpu",
        "measure": list[str](), "limit_s": 0.1, "choice": None, "data_dir": None, "weights": None,
        "roofline": None,
        "machine_dir": str(tmp_path / "machine"),
        "profile": False, "training_flops": 76_000, "plugins": list[str](), "decided": None, "checkpoint": None,
        **changes,
    }  # fmt: skip


@pytest.fixture
def worker() -> Iterator[Worker]:
    process = Worker(1, command=serving(WORKLOAD))
    yield process
    process.close()


def test_a_run_and_a_second_seed_beside_a_library_that_prints_in_one_process(worker: Worker, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    kept = tmp_path / "roofline.json"
    first = worker.run(job(tmp_path, measure=["latency", "step_shares"], roofline=str(kept)), events.append)
    assert first["status"] == "ok", first["error"]
    assert first["roofline"] == kept_roofline(kept) and first["roofline"]["gemm_size"] == 2048  # measured, for real
    assert worker.import_s is not None and worker.import_s > 0.2
    epochs = [event for event in events if "epoch" in event]
    assert [event["epoch"] for event in epochs] == [1] and first["history"] == epochs
    phases = [event["phase"] for event in events if "phase" in event]
    assert phases == ["choosing", "training", "testing", "measuring"]
    assert first["metrics"]["test_top1_pct"] > 20
    assert sum(map(sum, first["metrics"]["confusion_matrix"])) == 10_000
    assert first["throughput"]["train_img_per_s"] > 0 and len(first["throughput"]["train_samples_img_per_s"]) >= 5
    assert first["latency"]["batch_1"]["p50_ms"] <= first["latency"]["batch_1"]["p99_ms"]
    assert first["memory"]["peak_mem_mib"] >= first["memory"]["baseline_mem_mib"] > 50
    assert first["step_shares"]["num_samples"] > 1 and first["compilation"]["num_graphs"] == 0
    assert set(first["load"]) == {"train", "throughput"} and first["energy"]["train_j"] is None
    predicted, confidence = RecordStore(tmp_path / "machine").read_predictions(job(tmp_path)["run_id"])
    assert predicted.shape == confidence.shape == (10_000,)
    diagonal = sum(first["metrics"]["confusion_matrix"][i][i] for i in range(10))
    assert first["metrics"]["test_top1_pct"] == pytest.approx(diagonal / 100)

    noisy = tmp_path / "noisy.py"
    noisy.write_text("import os; print('hello from a library'); os.write(1, b'{not json}\\n')\n")
    second = worker.run(job(tmp_path, seed=1, plugins=[str(noisy)]), events.append)
    assert second["status"] == "ok" and second["metrics"] != first["metrics"]
    assert second["ledger"]["data"] < first["ledger"]["data"]
    log = worker.log_tail()
    assert "hello from a library" in log and "{not json}" in log  # and not among the answers


def test_workers_are_started_with_the_allocator_that_training_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TOP_PAD_", "123")
    variables = environment(3)
    assert variables["OMP_NUM_THREADS"] == os.environ.get("OMP_NUM_THREADS", "3")
    assert variables["MALLOC_TOP_PAD_"] == "123"  # what a person has set is kept
    assert int(variables["MALLOC_MMAP_THRESHOLD_"]) > 2**20


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os, time; os.close(1); os.close(2); time.sleep(100)", "stopped responding"),
        ("raise ImportError('no module named torch')", "no module named torch"),
    ],
)
def test_a_worker_that_does_not_even_start(code: str, words: str, tmp_path: Path) -> None:
    process = Worker(1, command=(sys.executable, "-c", code))
    with pytest.raises(WorkerDiedError) as caught:
        process.run(job(tmp_path), lambda event: None)
    process.close()
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("counts", "status", "words"),
    [
        ((3, 3), "failed", "signal 9 (not by the system's out-of-memory killer"),
        ((3, 4), "oom", "signal 9 (by the system's out-of-memory killer"),
        ((None, None), "oom", "signal 9 (the system's out-of-memory killer uses this signal"),
    ],
)
def test_a_kill_is_the_systems_for_want_of_memory_where_it_says_so_or_nobody_can_tell(
    counts: tuple[int | None, ...], status: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.workers.client.oom_kills", iter(counts).__next__)
    process = Worker(1, command=(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"))
    with pytest.raises(WorkerDiedError) as caught:
        process.run({}, lambda event: None)
    process.close()
    assert caught.value.status == status and words in str(caught.value)


def test_a_worker_killed_from_outside_in_the_middle_of_a_run(
    worker: Worker, tmp_path: Path, roofline_file: Path
) -> None:
    def kill(event: dict[str, Any]) -> None:
        assert worker._process is not None
        if "epoch" in event:
            worker._process.send_signal(signal.SIGKILL)

    long = job(tmp_path, roofline=str(roofline_file))
    long["config"] = {**long["config"], "recipe": {**long["config"]["recipe"], "budget": "epochs:500"}}
    with pytest.raises(WorkerDiedError, match="signal 9"):
        worker.run(long, kill)


@pytest.mark.usefixtures("own_registry")
def test_the_command_with_a_model_that_misbehaves_by_its_seed(
    plugin: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A record for each seed, with what happened; the good one is measured and its weights can be loaded."""
    out = tmp_path / "out"
    arguments = ["--models", "moody", "--plugin", str(plugin), "--seeds", "9", "--out", str(out), "--device", "cpu"]
    recipe = ["--budget", "epochs:1", "--batch-size", "1000", "--precision", "fp32", "--no-figures"]
    code = main([*arguments, *recipe, "--save-weights", "--on-oom", "halve", "--json", "--timeout", "120"])
    assert code == 1
    (machine,) = (path for path in out.iterdir() if path.is_dir())
    records = {record.seed: record for record in RecordStore(machine).read_all()[0]}
    raises, greedy, leaves, diverges, segfaults, forks, asks, stops, good = (records[seed] for seed in range(9))
    assert [record.status for record in (raises, greedy, leaves)] == ["failed", "ok", "failed"]
    assert [record.status for record in (diverges, segfaults, forks, good)] == ["diverged", "failed", "ok", "ok"]
    assert (asks.status, stops.status) == ("failed", "failed")
    assert "EOFError" in str(asks.error) and "Quit" in str(stops.error) and "in forward" in str(stops.error)
    assert "in raises" in str(raises.error)  # the last lines of the log: where it happened
    assert "signal 11" in str(segfaults.error) and "about to fall" in str(segfaults.error)
    assert "a bug of the model's | with a pipe" in str(raises.error)
    assert "a model must not do that" in str(leaves.error)
    assert raises.ledger["eval_s"] is None and raises.ledger["data_s"] is not None
    assert "epoch 1, step" in str(diverges.error)
    page = (machine / "README.md").read_text()
    assert "| with a pipe" not in page
    failures = {seed: record for seed, record in records.items() if record.status != "ok"}
    assert len(failures) == 6
    assert all(f"- moody (batch changed), seed {seed}: {run.status}. " in page for seed, run in failures.items())
    assert greedy.config["recipe"]["batch_size"] == 1000 and greedy.throughput is not None
    assert greedy.throughput["train_batch_size"] == 500
    assert good.weights is not None and good.metrics is not None
    load_plugin(plugin)  # which nothing else has done in this process
    checkpoint = load_checkpoint(machine / good.weights)
    assert checkpoint.config["model"] == "moody" and len(checkpoint.config["class_names"]) == 10
    events = events_in(capfd.readouterr().out)
    assert (events[0]["event"], events[1]["event"]) == ("note", "sweep_started")  # the model was tried before
    assert events[1]["num_runs"] == 9 and events[-1]["num_runs_ok"] == 3 and events[-1]["exit_code"] == 1
    told = [event for event in events if event.get("seed") == 8]
    assert [event.get("phase", event["event"]) for event in told] == [
        *("run_started", "starting", "choosing", "training", "epoch", "testing", "measuring", "run_finished"),
    ]
    assert told[-1]["test_top1_pct"] == good.metrics["test_top1_pct"] and told[-1]["run_id"] == good.run_id
    ends = {event["seed"]: event for event in events if event["event"] == "run_finished"}
    assert {seed: (end["status"], end["error"]) for seed, end in ends.items()} == {
        seed: (record.status, record.error) for seed, record in records.items()
    }
    check_that_the_parts_of_the_time_add_up(good)
    assert children_left() == []


def check_that_the_parts_of_the_time_add_up(record: RunRecord) -> None:
    ledger = dataclasses.asdict(record)["ledger"]
    wall_s = ledger.pop("wall_s")
    assert sum(ledger.values()) == pytest.approx(wall_s, rel=1e-6)
    assert 0 <= ledger["other_s"] < 0.3 * wall_s  # 0.3% in a run of five epochs on a quiet machine
    assert record.history[-1]["elapsed_s"] == pytest.approx(ledger["train_s"])


def test_events_are_one_json_object_a_line() -> None:
    """The protocol by hand: a worker says that it is ready, and ends when its input does."""
    import subprocess

    result = subprocess.run(
        serving(WORKLOAD),
        input="",
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=100,
        check=True,
    )
    assert [json.loads(line) for line in result.stdout.split("\n") if line] == [{"event": "ready"}]
