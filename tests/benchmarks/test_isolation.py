"""Worker processes that misbehave, with small programs in the place of training; nothing but a message is left."""

import os
import pty
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.sweep import live_report
from benchmarks.sweep.live_report import Reporting
from benchmarks.sweep.run_once import Isolation
from benchmarks.workers import process_tree
from benchmarks.workers.client import Worker, WorkerDiedError
from benchmarks.workers.process_tree import MARK, marked
from benchmarks.workers.server import carry_out
from benchmarks.workers.signals import SIGNALS, Interrupts
from tests.benchmarks.fake_workers import children_left, executing, job
from tests.benchmarks.sample_records import make_record, write_records

ONLY_LINUX = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux wakes a stopped process whose parent is gone"
)


@pytest.fixture
def worker() -> Iterator[Worker]:
    process = executing()
    mark = process._environment[MARK]
    yield process
    process.close()
    assert list(marked(mark)) == []  # whatever a test has done to it, nothing is left over


def ignore(event: dict[str, Any]) -> None:
    pass


def test_a_run_that_hangs_is_ended_with_all_that_it_started_and_says_where_it_was(worker: Worker) -> None:
    worker.run(job("print('of an earlier run')"), ignore)
    mark = worker._environment[MARK]
    code = """
subprocess.Popen(["sleep", "1000"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
print("about to hang")
def endless():
    while True: time.sleep(0.1)
endless()
"""
    with pytest.raises(WorkerDiedError, match="time limit of 0.7 s") as caught:
        worker.run(job(code), ignore, timeout_s=0.7)
    message = str(caught.value)
    assert caught.value.status == "timeout"
    assert "about to hang" in message and "in endless" in message and "of an earlier run" not in message
    assert list(marked(mark)) == []


def test_a_worker_that_never_gets_ready_is_overdue_as_well() -> None:
    process = Worker(1, command=(sys.executable, "-c", "import time; time.sleep(1000)"))
    with pytest.raises(WorkerDiedError, match="time limit of 0.2 s") as caught:
        process.run({}, ignore, timeout_s=0.2)
    process.close()
    assert caught.value.status == "timeout" and process.import_s is None


def test_a_segmentation_fault_leaves_the_last_lines_of_its_own_log(worker: Worker) -> None:
    worker.run(job("print('of an earlier run')"), ignore)
    with pytest.raises(WorkerDiedError) as caught:
        worker.run(job("print('noise ' * 100_000); print('about to fall'); ctypes.string_at(0)"), ignore)
    message = str(caught.value)
    assert caught.value.status == "failed" and "signal 11" in message
    assert "about to fall" in message and "Segmentation fault" in message and "string_at" in message
    assert "of an earlier run" not in message and len(message) < 10_000


def test_a_run_that_prints_without_end_costs_neither_disk_nor_memory_and_its_last_lines_are_kept(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before_mib = psutil.Process().memory_info().rss / 2**20
    flood = "print('of an earlier run')\nfor _ in range(3_000): sys.stderr.write(('noise ' * 100 + '\\n') * 100)"
    assert worker.run(job(flood), ignore, timeout_s=120)["status"] == "ok"  # 180 MB
    tail = worker.log_tail()
    assert tail.count("noise") > 1000 and "of an earlier run" not in tail and len(tail) < 21_000
    assert psutil.Process().memory_info().rss / 2**20 < before_mib + 60 and list(tmp_path.iterdir()) == []
    child = "subprocess.run([sys.executable, '-c', 'import os; print(\"from a child\"); os.abort()']); os._exit(4)"
    with pytest.raises(WorkerDiedError, match="exit code 4") as caught:
        worker.run(job(child), ignore)
    assert "from a child" in str(caught.value) and "noise" not in str(caught.value)


@pytest.mark.parametrize(("code", "error"), [("input()", "EOFError"), ("breakpoint()\nprint()", "BdbQuit")])
def test_a_run_that_asks_for_input_is_told_that_there_is_none(code: str, error: str, worker: Worker) -> None:
    asks = (
        f"try: exec({code!r})\nexcept BaseException as error: emit({{'event': 'note', 'error': type(error).__name__}})"
    )
    events: list[dict[str, Any]] = []
    assert worker.run(job(asks), events.append, timeout_s=60)["status"] == "ok"
    assert events == [{"error": error}]
    assert worker.run(job("assert sys.gettrace() is None"), ignore)["status"] == "ok"  # nothing slows what comes next


def test_a_copy_that_a_run_forks_off_answers_nothing_and_the_worker_goes_on(worker: Worker) -> None:
    events: list[dict[str, Any]] = []
    result = worker.run(job("os.fork(); emit({'event': 'epoch', 'of': os.getpid()})"), events.append)
    assert result["status"] == "ok" and [event["of"] for event in events] == [worker._process.pid]  # type: ignore[union-attr]
    assert worker.run(job(""), ignore)["status"] == "ok"


def test_a_child_that_holds_the_pipe_open_hides_no_death(worker: Worker) -> None:
    with pytest.raises(WorkerDiedError, match="exit code 3"):
        worker.run(job("os.fork() or time.sleep(1000); os._exit(3)"), ignore)


def test_garbage_on_the_pipe_is_something_printed_and_no_answer() -> None:
    lines = [
        "no JSON",
        "[1, 2]",
        "{}",
        '{"event": 7}',
        "\\xff",
        "[" * 100_000,
        '{"event": "done", "status": "its own"}',
    ]
    code = (
        'import json, sys; print(\'{"event": "ready"}\', flush=True)\n'
        'token = json.loads(sys.stdin.readline())["token"]\n'
        f"for line in {lines!r}: print(line)\n"
        'print(json.dumps({"event": "done", "status": "ok", "token": token}), flush=True); sys.stdin.readline()'
    )
    process = Worker(1, command=(sys.executable, "-c", code))
    assert process.run({}, ignore) == {"status": "ok"}
    assert "[[[[" in process.log_tail()
    process.close()


ANSWERS = """
for number in range(3, 64):
    try: is_pipe = os.readlink(f"/proc/self/fd/{number}") == "pipe:[INODE]"
    except OSError: continue
    if is_pipe: os.write(number, TEXT)
"""
"""Code of a job that writes TEXT where its answers go."""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux names what a descriptor stands for")
@pytest.mark.parametrize(
    "text",
    [
        b'{"event": "done", "status": "ok"}\n',
        b'{"event": "epoch", "epoch": null}\n',
        b'{"event": "done", ',
    ],
)
def test_a_run_that_writes_among_the_answers_changes_none_and_the_next_is_told_its_own(
    text: bytes, worker: Worker
) -> None:
    worker.run(job(""), ignore)
    pipe = os.fstat(worker._process.stdout.fileno()).st_ino  # type: ignore[union-attr]
    code = ANSWERS.replace("TEXT", repr(text)).replace("INODE", str(pipe))
    events: list[dict[str, Any]] = []
    found = worker.run(job(code + "\nfound['of'] = 'first'"), events.append, timeout_s=60)
    assert (found["status"], found["of"], events) == ("ok", "first", [])
    assert worker.run(job("found['of'] = 'second'"), ignore, timeout_s=60)["of"] == "second"


class _Strange(BaseException):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(("error", "words"), [(_Strange(), "can't be read"), (RuntimeError("h" * 10_000_000), "hh")])
def test_whatever_is_raised_becomes_a_short_error_without_a_process_as_well(error: BaseException, words: str) -> None:
    def raises(job: Any, emit: Any) -> dict[str, Any]:
        raise error

    result = carry_out(raises, {}, ignore)
    assert result["status"] == "failed" and words in result["error"] and len(result["error"]) < 5000
    with pytest.raises(KeyboardInterrupt):
        carry_out(lambda job, emit: (_ for _ in ()).throw(KeyboardInterrupt), {}, ignore)


@pytest.mark.parametrize("is_stopped", [False, pytest.param(True, marks=ONLY_LINUX)])
def test_a_worker_whose_runner_was_killed_ends_with_its_children(is_stopped: bool) -> None:
    """The runner itself is a process here, and is killed in the middle of a run."""
    code = """
import sys
from tests.benchmarks.fake_workers import executing
worker = executing()
print(worker._environment["FMNIST_ZOO_WORKER"], flush=True)
code = "subprocess.Popen(['sleep', '1000'], start_new_session=True)\\n" \\
    "emit({'event': 'note'}) if os.fork() else None\\nwhile True: print('going on'); time.sleep(0.01)"
worker.run({"code": code}, lambda event: print("up", flush=True))
"""
    runner = psutil.Popen([sys.executable, "-c", code], stdout=-1, text=True, cwd=Path(__file__).parents[2])
    mark = runner.stdout.readline().strip()
    assert runner.stdout.readline().strip() == "up"
    deadline = time.monotonic() + 30
    while len(list(marked(mark))) < 3:  # a process that is just being replaced by its program shows no environment
        assert time.monotonic() < deadline
    if is_stopped:
        for process in marked(mark):
            process.suspend()
    runner.kill()
    runner.wait()
    deadline = time.monotonic() + 30
    while list(marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(marked(mark)) == []


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """As a program on a terminal has them: what runs in the background may ignore some."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        assert signal.getsignal(number) is signal.default_int_handler
        signal.signal(number, handler)


@pytest.mark.usefixtures("usual_signals")
def test_the_first_signal_lets_a_run_finish_and_the_second_does_not(worker: Worker) -> None:
    said: list[str] = []
    with Interrupts(said.append) as interrupts:
        worker._interrupts = interrupts
        code = "emit({'event': 'epoch'}); time.sleep(0.3)"
        assert worker.run(job(code), lambda event: os.kill(os.getpid(), signal.SIGINT))["status"] == "ok"
        assert interrupts.requested and len(said) == 1 and "after the current run" in said[0]
        code = "emit({'event': 'epoch'}); time.sleep(1000)"
        with pytest.raises(KeyboardInterrupt):
            worker.run(job(code), lambda event: os.kill(os.getpid(), signal.SIGTERM))


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts(print) as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupts.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_end_of_the_terminal_is_a_signal_and_no_failure(tmp_path: Path) -> None:
    code = f"""
import time
from benchmarks.workers.signals import Interrupts
with Interrupts(print) as interrupts:
    print("up", flush=True)
    while not interrupts.requested:
        time.sleep(0.01)
    print("to a terminal that is gone", flush=True)
    open({str(tmp_path / "kept")!r}, "w").close()
"""
    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.execv(sys.executable, [sys.executable, "-c", code])
    assert b"up" in os.read(terminal, 100)
    os.close(terminal)
    assert os.waitpid(process, 0)[1] == 0 and (tmp_path / "kept").exists()


@pytest.mark.parametrize("timeout_s", [0.0, -1.0, float("inf"), float("nan")])
def test_a_time_limit_that_is_none_is_refused(timeout_s: float) -> None:
    with pytest.raises(ValueError, match="--timeout .* must be a positive number of seconds"):
        Isolation(timeout_s=timeout_s)


def test_a_time_limit_that_nobody_could_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="--timeout 5 can't be combined with --in-process"):
        Isolation(timeout_s=5.0, in_process=True)


def test_kills_for_want_of_memory_are_the_kernels_own_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_tree, "VMSTAT", tmp_path / "vmstat")
    assert process_tree.oom_kills() is None
    (tmp_path / "vmstat").write_text("nr_free_pages 12\noom_kill 3\n")
    assert process_tree.oom_kills() == 3


class FakeClock:
    """Tables take so long as they are said to."""

    def __init__(self) -> None:
        self.now_s, self.takes_s, self.written = 0.0, 1.0, 0
        self.fault: Exception | None = None

    def __call__(self) -> float:
        return self.now_s

    def write(self) -> None:
        self.now_s += self.takes_s
        if self.fault:
            raise self.fault
        self.written += 1


def test_tables_take_a_tenth_of_the_time_and_are_whole_at_the_end() -> None:
    clock, said = FakeClock(), list[str]()
    tables = Reporting(clock.write, said.append, clock)
    for _ in range(100):
        clock.now_s += 0.5  # a run
        tables.note()
    assert 5 <= clock.written <= 7 and tables.is_behind  # after 0.5 s, and then 10 s after each
    tables.finish()
    written = clock.written
    assert not tables.is_behind
    tables.finish()
    assert clock.written == written and said == []


def test_tables_of_many_records_are_the_same_from_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = tmp_path / "machine"
    write_records(machine, *(make_record(seed=seed, minutes=seed) for seed in range(3)))
    live_report.write_tables(tmp_path, "machine")
    here = {path: path.read_bytes() for path in machine.glob("*.*")}
    assert machine / "README.md" in here
    for path in here:
        path.unlink()
    monkeypatch.setattr(live_report, "MANY_RECORDS", 3)
    live_report.write_tables(tmp_path, "machine")
    assert {path: path.read_bytes() for path in machine.glob("*.*")} == here
    (machine / "README.md").write_text("# my own page\n")
    with pytest.raises(RuntimeError, match=r"README\.md was not made by benchmarks\.report"):
        live_report.write_tables(tmp_path, "machine")


@pytest.fixture
def slow_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder whose tables take a process of their own, and so long that nobody waits for them."""
    write_records(tmp_path / "machine", make_record())
    os.mkfifo(tmp_path / "slow.py")  # imported by the process: who opens it waits for a writer
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'slow.py')!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(live_report, "MANY_RECORDS", 1)
    return tmp_path


def test_tables_that_take_too_long_are_given_up(slow_report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_report, "LIMIT_S", 0.5)
    with pytest.raises(RuntimeError, match=r"timed out after 0\.5 s; python -m benchmarks\.report writes them"):
        live_report.write_tables(slow_report, "machine")
    assert children_left() == []


@pytest.mark.usefixtures("usual_signals")
def test_the_second_signal_ends_tables_that_are_being_written_and_no_others_are_begun(slow_report: Path) -> None:
    started: list[int] = []

    def write() -> None:
        started.append(1)
        live_report.write_tables(slow_report, "machine", check)

    def check() -> None:
        if interrupts.count < 2:
            os.kill(os.getpid(), signal.SIGINT)
        interrupts.check()

    said: list[str] = []
    with Interrupts(said.append) as interrupts:
        tables = Reporting(write, said.append)
        with pytest.raises(KeyboardInterrupt):
            tables.note()
        tables.finish()
    assert tables.is_behind and started == [1] and len(said) == 1 and "after the current run" in said[0]
    assert children_left() == []


def test_tables_that_can_not_be_written_are_said_and_tried_again() -> None:
    clock, said = FakeClock(), list[str]()
    clock.fault = OSError("no space left on device")
    tables = Reporting(clock.write, said.append, clock)
    tables.note()
    assert tables.is_behind and "no space left" in said[0]
    clock.fault = None
    tables.finish()
    assert not tables.is_behind and clock.written == 1
