"""The runner with a fake worker: what becomes of results, deaths, refusals and interruptions."""

import os
import signal
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.sweep import safekeeping
from benchmarks.sweep.assemble import complete_ledger
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display
from benchmarks.sweep.plan import Plan, make_plan
from benchmarks.sweep.resume import Done
from benchmarks.sweep.run_once import Isolation
from benchmarks.sweep.runner import Runner
from benchmarks.workers.client import WorkerDiedError
from fmnist_zoo.registry import register_model
from tests.benchmarks import fake_workers
from tests.benchmarks.sample_records import make_record


def good_result(job: dict[str, Any]) -> dict[str, Any]:
    """What a worker gives back, taken from a record made by hand."""
    record = make_record()
    epoch = {
        "epoch": 1, "train_loss": 0.5, "train_top1_pct": 80.0, "val_loss": 0.4, "val_top1_pct": 85.0, "lr": 0.1,
        "elapsed_s": 1.0, "num_steps": 10, "scheduled_steps": 10,
    }  # fmt: skip
    return {
        "status": "ok", "error": None, "ledger": {"data": 0.1, "train": 1.0}, "history": [epoch], "flags": [],
        "num_steps": 10, "num_epochs": 1, "dataset": record.dataset, "execution": record.execution,
        "metrics": record.metrics, "throughput": record.throughput, "memory": record.memory, "latency": None,
        "predictions": None, "weights": None,
    }  # fmt: skip


class FakeWorker(fake_workers.FakeWorker):
    """Does what its script says, one entry a job."""

    def __init__(self, script: list[Callable[[dict[str, Any]], dict[str, Any]]], log: list[str]) -> None:
        super().__init__(good_result, log)
        self._script = script
        self.log.append("start")

    def run(
        self, job: Any, on_event: Callable[[dict[str, Any]], None], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        self.log.append(f"{job['config']['model']} {job['seed']}")
        result = self._script.pop(0)(job)
        for stats in result.get("history", []):
            on_event(stats)
        return result


def die(job: dict[str, Any]) -> dict[str, Any]:
    raise WorkerDiedError("the worker process was killed by signal 11; its last lines:\nSegmentation fault")


def interrupt(job: dict[str, Any]) -> dict[str, Any]:
    raise KeyboardInterrupt


def two_models_two_seeds() -> Plan:
    return make_plan(RunConfig(models=("mlp", "lstm"), seeds=2, device="cpu"))


def runner(
    plan: Plan,
    out: Path,
    script: list[Any],
    log: list[str],
    display: Display | None = None,
    isolation: Isolation = Isolation(),  # noqa: B008  # it is frozen
) -> Runner:
    options = RunConfig(out=out)
    workers: Any = lambda variables: FakeWorker(script, log)  # noqa: E731
    return Runner(
        plan, options, display or Display(), command="run", dataset="5f1c0e", new_worker=workers, isolation=isolation
    )


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """The machine's, in bytes; there is enough."""
    found = types.SimpleNamespace(total=100, available=60)
    monkeypatch.setattr("psutil.virtual_memory", lambda: found)
    return found


pytestmark = pytest.mark.usefixtures("memory")


def test_one_worker_a_variant_and_seeds_take_turns_while_the_others_are_parked(tmp_path: Path) -> None:
    log: list[str] = []
    records = runner(two_models_two_seeds(), tmp_path, [good_result] * 4, log).run().records
    assert log == [
        "start", "mlp 0", "park", "start", "lstm 0", "park", "mlp 1", "close", "lstm 1", "close",
    ]  # fmt: skip
    assert not [flag for record in records for flag in record.flags if flag["kind"] == "worker_restarted"]
    assert [record.status for record in records] == ["ok"] * 4
    (machine,) = (path for path in tmp_path.iterdir() if path.is_dir())
    stored, problems = RecordStore(machine).read_all()
    assert len(stored) == 4 and not problems
    assert (machine / "README.md").is_file() and (tmp_path / "README.md").is_file()


def test_a_dead_worker_costs_one_run_and_is_replaced(tmp_path: Path) -> None:
    log: list[str] = []
    script = [die, good_result, good_result, die]
    records = runner(two_models_two_seeds(), tmp_path, script, log).run().records
    assert [record.status for record in records] == ["failed", "ok", "ok", "failed"]
    assert log == [
        "start", "mlp 0", "close", "start", "lstm 0", "park", "start", "mlp 1", "close", "lstm 1", "close",
    ]  # fmt: skip
    dead = records[0]
    assert dead.error is not None and "signal 11" in dead.error and "Segmentation fault" in dead.error
    assert dead.metrics is None and dead.throughput is None and dead.history == []
    assert dead.ledger["train_s"] is None and dead.ledger["wall_s"] is not None
    page = next(tmp_path.glob("*/README.md")).read_text()
    assert "Segmentation fault" in page


def test_a_failed_run_keeps_what_it_had_and_the_worker_lives_on(tmp_path: Path) -> None:
    def diverge(job: dict[str, Any]) -> dict[str, Any]:
        good = good_result(job)
        return {
            "status": "diverged", "error": "DivergedError: step 3", "history": good["history"],
            "ledger": {"train": 2.0}, "dataset": good["dataset"], "flags": [],
        }  # fmt: skip

    log: list[str] = []
    records = runner(two_models_two_seeds(), tmp_path, [diverge, *[good_result] * 3], log).run().records
    assert [record.status for record in records] == ["diverged", "ok", "ok", "ok"]
    assert len(records[0].history) == 1 and records[0].ledger["train_s"] == 2.0
    assert log.count("start") == 2


def test_ctrl_c_ends_the_worker_and_keeps_what_is_done(tmp_path: Path) -> None:
    log: list[str] = []
    results = runner(two_models_two_seeds(), tmp_path, [good_result, interrupt], log).run()
    assert results.interrupted and len(results.records) == 1
    assert log[-1] == "close"
    (machine,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert len(RecordStore(machine).read_all()[0]) == 1
    assert (machine / "README.md").is_file()


def test_after_a_signal_the_run_at_hand_is_finished_and_nothing_new_begins(tmp_path: Path) -> None:
    def signalled(job: dict[str, Any]) -> dict[str, Any]:
        os.kill(os.getpid(), signal.SIGTERM)
        return good_result(job)

    log: list[str] = []
    results = runner(two_models_two_seeds(), tmp_path, [good_result, signalled], log).run()
    assert results.interrupted and [record.status for record in results.records] == ["ok", "ok"]
    assert log == ["start", "mlp 0", "park", "start", "lstm 0", "park", "close", "close"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def kinds(record: RunRecord) -> set[str]:
    return {flag["kind"] for flag in record.flags}


def test_where_little_memory_is_left_a_worker_is_ended_and_its_next_seed_says_so(
    tmp_path: Path, memory: types.SimpleNamespace
) -> None:
    memory.available = 24
    log: list[str] = []
    records = runner(two_models_two_seeds(), tmp_path, [good_result] * 4, log).run().records
    assert log.count("start") == 4
    assert ["worker_restarted" in kinds(record) for record in records] == [False, False, True, True]
    (flag,) = (flag for flag in records[2].flags if flag["kind"] == "worker_restarted")
    assert "less than 25% of the machine's memory" in flag["evidence"] and "wall time" in str(flag["advice"])


def test_a_run_without_memory_is_tried_once_more_alone_before_anything_is_halved(tmp_path: Path) -> None:
    log: list[str] = []
    script = [good_result, out_of_memory, good_result, good_result, good_result]
    sweep = runner(two_models_two_seeds(), tmp_path, script, log, isolation=Isolation(on_oom="halve"))
    records = sweep.run().records
    assert [record.status for record in records] == ["ok"] * 4
    assert log[:9] == ["start", "mlp 0", "park", "start", "lstm 0", "close", "close", "start", "lstm 0"]
    assert not [record for record in records if "batch_changed" in kinds(record)]
    assert ["worker_restarted" in kinds(record) for record in records] == [False, True, True, False]


def test_a_run_that_has_no_memory_alone_either_is_halved(tmp_path: Path) -> None:
    asked: list[int] = []
    plan = make_plan(RunConfig(models=("mlp", "lstm"), seeds=2, device="cpu", batch_size=(1000,)))
    script = [good_result, *[only_up_to(500, asked)] * 3, *[good_result] * 2]
    records = runner(plan, tmp_path, script, [], isolation=Isolation(on_oom="halve")).run().records
    assert asked == [1000, 1000, 500] and [record.status for record in records] == ["ok"] * 4
    assert {"batch_changed", "worker_restarted"} <= kinds(records[1])


def test_a_parked_worker_that_died_is_replaced_and_costs_no_run(tmp_path: Path) -> None:
    workers: list[FakeWorker] = []

    def kills_the_first(job: dict[str, Any]) -> dict[str, Any]:
        workers[0].alive = False
        return good_result(job)

    def new_worker(variables: Any) -> FakeWorker:
        workers.append(FakeWorker([kills_the_first if len(workers) == 1 else good_result, good_result], []))
        return workers[-1]

    sweep = Runner(two_models_two_seeds(), RunConfig(out=tmp_path), Display(), command="run", new_worker=new_worker)
    records = sweep.run().records
    assert [record.status for record in records] == ["ok"] * 4
    assert ["worker_restarted" in kinds(record) for record in records] == [False, False, True, False]


def test_a_worker_in_which_a_run_left_something_changed_gets_no_further_one(tmp_path: Path) -> None:
    def changes(job: dict[str, Any]) -> dict[str, Any]:
        return {**good_result(job), "changed": ["current folder", "default dtype"]}

    log: list[str] = []
    records = runner(two_models_two_seeds(), tmp_path, [changes, *[good_result] * 3], log).run().records
    assert log.count("start") == 3
    (flag,) = (flag for flag in records[0].flags if flag["kind"] == "process_changed")
    assert "current folder, default dtype" in flag["evidence"]
    assert all("process_changed" not in kinds(record) for record in records[1:])


def test_further_seeds_are_trained_with_the_precision_and_engine_of_the_first(tmp_path: Path) -> None:
    decided: list[Any] = []

    def run(job: dict[str, Any]) -> dict[str, Any]:
        decided.append(job["decided"])
        return good_result(job)

    runner(two_models_two_seeds(), tmp_path, [run] * 4, []).run()
    execution = make_record().execution
    assert execution is not None and decided[:2] == [None, None]
    assert decided[2] == decided[3] == {name: execution[name] for name in ("precision", "engine", "reason")}  # type: ignore[literal-required]


def out_of_memory(job: dict[str, Any]) -> dict[str, Any]:
    return {"status": "oom", "error": "RuntimeError: can't allocate memory", "ledger": {"train": 2.0}, "flags": []}


def only_up_to(batch_size: int, asked: list[int]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A device that has room for batches up to that size."""

    def run(job: dict[str, Any]) -> dict[str, Any]:
        asked.append(job["config"]["recipe"]["batch_size"])
        assert job["choice"] is None or asked[-1] == 1000  # what was chosen for one batch isn't kept for another
        return good_result(job) if asked[-1] <= batch_size else out_of_memory(job)

    return run


def test_without_memory_a_run_says_the_batch_and_the_device_and_what_to_do(tmp_path: Path) -> None:
    log: list[str] = []
    plan = make_plan(RunConfig(models=("mlp",), seeds=2, device="cpu", batch_size=(1000,)))
    records = runner(plan, tmp_path, [out_of_memory, good_result], log).run().records
    assert [record.status for record in records] == ["oom", "ok"]
    assert str(records[0].error).startswith("out of memory on cpu at batch size 1000 (choose a smaller --batch-size")
    assert "can't allocate memory" in str(records[0].error)
    assert log.count("start") == 2  # what took the memory ended with its process


def test_halving_finds_a_batch_for_which_there_is_memory_and_marks_the_row(tmp_path: Path) -> None:
    """The record keeps what was asked for, the other seed is trained alike, and tables tell the row from others."""
    asked, log = list[int](), list[str]()
    plan = make_plan(RunConfig(models=("mlp", "lstm"), seeds=2, device="cpu", batch_size=(1000,)))
    fits = only_up_to(300, asked)
    script = [fits, fits, fits, good_result, fits, good_result]
    sweep = runner(plan, tmp_path, script, log, isolation=Isolation(on_oom="halve"))
    records = sweep.run().records
    assert asked == [1000, 500, 250, 250] and [record.status for record in records] == ["ok"] * 4
    for record in records[::2]:
        assert record.config == plan.variants[0].config and record.config["recipe"]["batch_size"] == 1000
        (flag,) = [flag for flag in record.flags if flag["kind"] == "batch_changed"]
        assert "at batch size 1000: trained at 250" in flag["evidence"]
        assert f"learning rate unchanged ({record.config['recipe']['lr']:g})" in flag["evidence"]
    assert all(flag["kind"] != "batch_changed" for record in records[1::2] for flag in record.flags)
    folder = tmp_path / sweep.machine
    for table in ("README.md", "accuracy.csv", "throughput.csv"):
        assert "mlp (batch changed)" in (folder / table).read_text(), table
        assert "lstm (batch changed)" not in (folder / table).read_text()


def test_a_resumed_sweep_trains_the_seeds_that_are_left_with_the_batch_that_fitted(tmp_path: Path) -> None:
    asked, isolation = list[int](), Isolation(on_oom="halve")
    plan = make_plan(RunConfig(models=("mlp",), seeds=2, device="cpu", batch_size=(1000,)))

    def run(job: dict[str, Any]) -> dict[str, Any]:
        result = only_up_to(500, asked)(job)
        if result["status"] == "ok":
            result["throughput"] = {**result["throughput"], "train_batch_size": 500}
        return result

    sweep = runner(plan, tmp_path, [run] * 3, [], isolation=isolation)
    (first, _) = sweep.run().records
    again = runner(plan, tmp_path, [run], [], isolation=isolation)
    records = again.run(done=Done(runs={(first.config_key, 0): first})).records
    assert asked == [1000, 500, 500, 500] and [record.status for record in records] == ["ok", "ok"]


def test_halving_ends_where_a_batch_is_none_any_more(tmp_path: Path) -> None:
    plan = make_plan(RunConfig(models=("mlp",), seeds=1, device="cpu", batch_size=(50,)))
    isolation = Isolation(on_oom="halve")
    (record,) = runner(plan, tmp_path, [out_of_memory] * 3, [], isolation=isolation).run().records
    assert record.status == "oom" and "at batch size 50, 25, 12 (no smaller batch size is tried)" in str(record.error)


def test_epochs_that_a_run_had_before_its_worker_died_are_kept(tmp_path: Path) -> None:
    class Dying(FakeWorker):
        def run(self, job: Any, on_event: Any, *, timeout_s: float | None = None) -> dict[str, Any]:
            on_event(good_result(job)["history"][0])
            raise WorkerDiedError("run stopped after the time limit of 5 s", "timeout")

    plan = make_plan(RunConfig(models=("mlp",), seeds=1, device="cpu"))
    options = RunConfig(out=tmp_path)
    (record,) = (
        Runner(plan, options, Display(), command="run", new_worker=lambda variables: Dying([], [])).run().records
    )
    assert record.status == "timeout" and len(record.history) == 1 and record.num_steps is None


@pytest.mark.parametrize(
    "answer", [{}, {"status": "fine"}, {"status": "ok", "error": None}, {"status": "ok", "error": None, "flags": [3]}]
)
def test_an_answer_that_makes_no_record_is_a_failed_run_and_not_the_end(answer: Any, tmp_path: Path) -> None:
    plan = make_plan(RunConfig(models=("mlp",), seeds=2, device="cpu"))
    records = runner(plan, tmp_path, [lambda job: dict(answer), good_result], []).run().records
    assert [record.status for record in records] == ["failed", "ok"]
    assert "the worker returned" in str(records[0].error)


def test_a_record_that_can_not_be_written_is_put_elsewhere_and_the_sweep_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safekeeping, "DELAYS_S", (0.0,))
    said: list[str] = []
    display = Display()
    monkeypatch.setattr(display, "warn", said.append)
    script = [good_result]
    sweep = runner(two_models_two_seeds(), tmp_path / "out", script, [], display)

    def blocked(job: dict[str, Any]) -> dict[str, Any]:
        path = sweep.store.runs_dir / f"{job['run_id']}.json"
        path.mkdir()  # it stands in the way of a file as a full disk does
        return good_result(job)

    script += [blocked, good_result, blocked]
    results = sweep.run()
    assert [record.status for record in results.records] == ["ok"] * 4
    assert not results.all_in_place and results.tables_complete
    (elsewhere,) = tmp_path.glob("fmnist-zoo-unsaved-*")  # one folder for both
    kept, _ = RecordStore(elsewhere).read_all()
    assert [(record.model, record.seed) for record in kept] == [("lstm", 0), ("lstm", 1)]
    assert len(said) == 2 and all("move it to" in line and str(sweep.store.runs_dir) in line for line in said)
    here = [record for record in sweep.store.read_all()[0] if record.run_id not in {other.run_id for other in kept}]
    assert [(record.model, record.seed) for record in here] == [("mlp", 0), ("mlp", 1)]


def test_finished_runs_are_not_done_again(tmp_path: Path) -> None:
    plan, log = two_models_two_seeds(), []  # type: ignore[var-annotated]
    first = runner(plan, tmp_path, [good_result, die, good_result, good_result], log)
    first.run()
    done = first.done_before(retry_failed=True)
    assert len(done.runs) == 3
    assert not first.done_before(retry_failed=True, since="2999-01-01T00:00:00Z").runs
    log.clear()
    records = runner(plan, tmp_path, [good_result], log).run(done=done).records
    assert log == ["start", "lstm 0", "close"]
    assert sorted((record.model, record.seed) for record in records) == [
        ("lstm", 0),
        ("lstm", 1),
        ("mlp", 0),
        ("mlp", 1),
    ]
    assert {record.status for record in records} == {"ok"}


@pytest.mark.usefixtures("own_registry")
def test_a_variant_whose_model_failed_beforehand_is_recorded_without_a_worker_and_found_again(tmp_path: Path) -> None:
    def build() -> nn.Module:
        raise RuntimeError("no way")

    register_model("broken", family="mlp", summary="", reference="")(build)
    plan, log = make_plan(RunConfig(models=("broken", "mlp"), seeds=2, device="cpu")), list[str]()
    sweep = runner(plan, tmp_path, [good_result] * 2, log)
    records = {(record.model, record.seed): record for record in sweep.run().records}
    assert [line for line in log if line.startswith(("start", "mlp"))] == ["start", "mlp 0", "mlp 1"]
    assert len(records) == 4
    for seed in plan.seeds:
        broken = records["broken", seed]
        assert broken.status == "failed" and "no way" in str(broken.error) and broken.code_checksum is not None
        assert (broken.num_params, broken.cost, broken.ledger["wall_s"]) == (None, None, 0.0)
    assert "no way" in (sweep.store.machine_dir / "README.md").read_text()
    assert len(sweep.done_before(retry_failed=False).runs) == 4
    again = sweep.done_before(retry_failed=True)
    assert {plan.variants[1].key} == {key for key, _ in again.runs} and again.num_to_do == 2


def test_after_the_deadline_no_run_starts(tmp_path: Path) -> None:
    log: list[str] = []
    assert runner(two_models_two_seeds(), tmp_path, [], log).run(deadline=0.0).records == []
    assert log == []


def test_the_ledger_adds_up_to_the_wall_time() -> None:
    ledger = complete_ledger({"data": 1.0, "train": 5.0}, import_s=2.0, wall_s=8.5)
    assert ledger["other_s"] == pytest.approx(0.5)
    parts = [value for name, value in ledger.items() if name != "wall_s"]
    assert sum(parts) == pytest.approx(ledger["wall_s"])  # type: ignore[arg-type]
    assert ledger["probe_s"] == 0.0  # a part that took no time


def test_a_folder_of_somebody_elses_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# my own page\n")
    log: list[str] = []
    with pytest.raises(ValueError, match=r"README\.md"):
        runner(two_models_two_seeds(), tmp_path, [good_result], log)
    assert log == [] and (tmp_path / "README.md").read_text() == "# my own page\n"


@pytest.mark.parametrize("below", [".", "deeper"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path, below: str) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    log: list[str] = []
    with pytest.raises(ValueError, match=r"--out .* is not writable .*; choose another folder"):
        runner(two_models_two_seeds(), file / below, [good_result], log)
    assert log == []
