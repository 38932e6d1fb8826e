"""The protocol of all workers: failures are answers, what a job leaves changed is told, and who waits takes nothing."""

import os
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from benchmarks.workers import server
from benchmarks.workers.client import Worker, WorkerDiedError, serving
from benchmarks.workers.process_tree import MARK, marked
from benchmarks.workers.server import carry_out, process_state
from benchmarks.workers.slot import InProcess, JobError, Slot, Slots
from tests.benchmarks.fake_workers import FakeWorker, executing, job

GIVES_BACK_S = 5.0


def good(asked: Any) -> dict[str, Any]:
    return {"status": "ok", "error": None}


def answer(**fields: Any) -> Any:
    return lambda asked: {"status": "ok", "error": None, **fields}


def dies(asked: Any) -> dict[str, Any]:
    raise WorkerDiedError("the worker process was killed by signal 9", "oom")


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("raise ValueError('no such net')", "failed", "ValueError: no such net"),
        ("raise SystemExit(7)", "failed", "SystemExit: 7"),
        ("raise KeyboardInterrupt", "failed", "KeyboardInterrupt"),
        ("class Own(BaseException): pass\nraise Own('its own kind')", "failed", "Own: its own kind"),
        ("raise MemoryError", "oom", "MemoryError"),
        ("sys.stderr.close(); raise ValueError('unheard')", "failed", "ValueError: unheard"),
        ("os.close(2); raise ValueError('unheard')", "failed", "ValueError: unheard"),
    ],
)
def test_a_job_that_fails_is_answered_with_what_it_had_found_and_never_ends_the_process(
    code: str, status: str, words: str
) -> None:
    worker = executing()
    try:
        found = worker.run(job(f"found['so_far'] = 3\n{code}"), print, timeout_s=60)
        assert (found["status"], found["so_far"]) == (status, 3) and words in found["error"]
        assert worker.run(job("found['next'] = 4"), print, timeout_s=60)["next"] == 4
    finally:
        worker.close()


LEFT = {
    "os.chdir('/')": "current folder",
    "os.close(1)": "standard output",
    "os.dup2(2, 0)": "standard input",
    "torch.set_default_dtype(torch.float64)": "default dtype",
    "torch.set_num_threads(3)": "number of threads",
    "torch.set_grad_enabled(False)": "gradient mode",
    "torch.use_deterministic_algorithms(True)": "deterministic mode",
    "torch.set_default_device('meta')": "default device",
}


def test_what_a_job_leaves_changed_in_its_process_is_told_and_what_it_puts_back_is_not() -> None:
    with Slot(lambda: executing("torch")) as slot:
        used = "import torch, random\ntorch.manual_seed(3); random.random(); torch.set_float32_matmul_precision('high')"
        assert slot.run(job(used), timeout_s=120)["changed"] == []
        assert slot.run(job("os.chdir('.'); found['at'] = os.getcwd()"))["at"] == str(Path.cwd()) and slot.is_taken
        undone = "import torch\nfound['products'] = torch.get_float32_matmul_precision()"
        assert slot.run(job(undone))["products"] == "highest"  # as a step in tf32 leaves it, too
    worker = executing("torch")
    try:
        for code, name in LEFT.items():  # one after the other in a process that no slot would keep
            found = worker.run(job(f"import torch\n{code}"), print, timeout_s=120)
            assert (found["status"], found["changed"]) == ("ok", [name]), code
    finally:
        worker.close()


def test_looking_at_a_process_changes_nothing_and_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    assert process_state() == process_state()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_job_that_holds_much_of_the_machines_memory_is_one_that_left_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[bytearray] = []

    class Leaks:
        def __call__(self, asked: Any, emit: Any) -> dict[str, Any]:
            held.append(bytearray(os.urandom(1)) * (200 * 2**20))
            return {}

    memory = psutil.virtual_memory()
    now = psutil.Process().memory_info().rss
    monkeypatch.setattr(server, "KEPT_SHARE", (now + 100 * 2**20) / memory.total)
    assert carry_out(Leaks(), {}, print)["changed"] == ["memory held"]


@pytest.mark.parametrize(
    ("result", "device", "kept"),
    [
        ({"status": "ok"}, "cuda:1", True),
        ({"status": "diverged"}, "cuda", True),
        ({"status": "failed"}, "cuda", False),
        ({"status": "failed"}, "cpu", True),
        ({"status": "oom"}, "cpu", False),
        ({"status": "ok", "changed": ["current folder"]}, "cpu", False),
        ({"status": "ok", "changed": []}, "cpu", True),
        ({}, "cpu", True),
    ],
)
def test_a_worker_is_kept_for_the_next_job_only_where_that_can_not_suffer(
    result: dict[str, Any], device: str, kept: bool
) -> None:
    made: list[FakeWorker] = []

    def new_worker() -> FakeWorker:
        made.append(FakeWorker(lambda asked: dict(result)))
        return made[-1]

    with Slot(new_worker, device) as slot:
        found = [slot.run({}), slot.run({})]
        assert len(made) == 2 - kept
    assert [worker.log for worker in made] == [["close"]] * len(made)  # none is left
    for each in found:
        assert each["status"] == result.get("status", "failed") and each["wall_s"] >= 0.0 and each["restarted"] is None


def test_a_death_is_a_result_like_others_or_an_error_where_one_is_wanted() -> None:
    made: list[FakeWorker] = []

    def new_worker() -> FakeWorker:
        made.append(FakeWorker(good if made else dies))
        return made[-1]

    with Slot(new_worker) as slot:
        with pytest.raises(JobError, match="killed by signal 9") as caught:
            slot.need({})
        assert caught.value.status == "oom" and slot.need({})["status"] == "ok"
        made[-1].alive = False
        assert slot.run({})["restarted"] == "exited while idle" and len(made) == 3
        assert slot.run({})["restarted"] is None


def test_a_worker_that_is_killed_while_it_waits_costs_no_job() -> None:
    with Slot(executing) as slot:
        at_first = slot.run(job("found['pid'] = os.getpid()"))
        slot.park()
        os.kill(at_first["pid"], signal.SIGKILL)
        psutil.wait_procs([psutil.Process(at_first["pid"])], 10)
        found = slot.run(job("found['pid'] = os.getpid()"))
    assert found["status"] == "ok" and found["pid"] != at_first["pid"]
    assert found["restarted"] == "exited while idle" and found["import_s"] > 0.0


def test_a_worker_that_can_not_even_be_parked_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(FakeWorker):
        def park(self) -> None:
            raise WorkerDiedError("run stopped after the time limit of 60 s", "timeout")

    with Slot(lambda: Stuck(good)) as slot:
        slot.run({})
        slot.park()
        assert not slot.is_taken and slot.run({})["restarted"] == "exited while idle"


@pytest.mark.parametrize(("available", "stays"), [(26, True), (24, False)])
def test_a_worker_waits_only_where_enough_memory_stays_available(
    available: int, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(total=100, available=available))
    with Slots(lambda: FakeWorker(good), "cpu") as slots:
        slots["a"].run({})
        slots["a"].park()
        assert slots["a"].is_taken is stays
        slots["b"].run({})
        assert slots.make_room() and not slots.make_room()
        again = slots["b"].run({})["restarted"]
        assert again == "was stopped because another run ran out of memory"


def test_in_process_a_job_is_answered_alike_and_ctrl_c_goes_through() -> None:
    here = InProcess("tests.benchmarks.fake_workers:Executes")
    events: list[Any] = []
    found = here.run(job("emit({'event': 'epoch', 'epoch': 1}); found['so_far'] = (1, 2)"), events.append)
    assert found == {"status": "ok", "error": None, "so_far": [1, 2]} and events == [{"epoch": 1}]
    assert here.run(job("raise ValueError('no')"), print)["status"] == "failed"
    with pytest.raises(KeyboardInterrupt):
        here.run(job("raise KeyboardInterrupt"), print)


PAUSES = """
class Pauses:
    def __init__(self, start):
        self.number = int(start)
    def __call__(self, job, server):
        while True:
            self.number += 1
            if job.get("fails"):
                raise RuntimeError("on demand")
            job = server.pause({"number": self.number})
"""


def test_a_workload_with_a_loop_of_its_own_answers_in_its_midst(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pauses.py").write_text(PAUSES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Slot(lambda: Worker(1, command=serving("pauses:Pauses", "4"))) as slot:
        assert [slot.need({})["number"] for _ in range(3)] == [5, 6, 7]
        with pytest.raises(JobError, match="RuntimeError: on demand"):
            slot.need({"fails": True})
        assert slot.need({})["number"] == 9  # the same process


TRAINS = """
import torch
from torch import nn
torch.set_num_threads(2)
model, images = nn.Linear(784, 512), torch.randn(4096, 784)
for _ in range(20):
    model(images).square().mean().backward()
found["threads"] = len(os.listdir("/proc/self/task"))
"""


def cpu_s(mark: str) -> float:
    """CPU seconds of a worker and all that it has started."""
    times = [process.cpu_times() for process in marked(mark)]
    return sum(each.user + each.system for each in times)


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux does")
def test_a_parked_worker_takes_no_processor_time_and_gives_back_its_memory() -> None:
    worker = executing("torch")
    mark = worker._environment[MARK]
    try:
        assert worker.run(job(TRAINS), print, timeout_s=120)["threads"] > 1
        held = "import torch\nheld = [torch.ones(2**18) for _ in range(300)]"  # in blocks that the allocator would keep
        assert worker.run(job(held), print)["status"] == "ok"
        (process,) = marked(mark)
        before_mib = process.memory_info().rss / 2**20
        worker.park()
        assert process.memory_info().rss / 2**20 < before_mib - 200
        time.sleep(0.5)  # OpenMP's threads spin for a moment
        before_s = cpu_s(mark)
        time.sleep(GIVES_BACK_S)
        assert cpu_s(mark) - before_s <= 0.02  # two ticks of the system's clock
        assert worker.run(job("found['alive'] = True"), print)["alive"]
        assert worker.import_s == 0.0
    finally:
        worker.close()
