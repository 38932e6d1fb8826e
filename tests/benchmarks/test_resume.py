"""What a sweep that goes on leaves out, and what it does again and why: content keys, and the runner with them."""

import dataclasses
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.measure.roofline import keep_roofline
from benchmarks.records.record import RunRecord, record_parts
from benchmarks.records.schema import Environment
from benchmarks.records.store import RecordStore
from benchmarks.sweep import training_run
from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import PlainDisplay
from benchmarks.sweep.plan import Plan, make_plan
from benchmarks.sweep.resume import Circumstances, Done, checkpoint_path, content_key, decided, done_before
from benchmarks.sweep.runner import Runner
from fmnist_zoo.data import Dataset
from tests.benchmarks.sample_records import make_environment, make_record, make_roofline
from tests.benchmarks.test_runner import FakeWorker, die, good_result

PLAN = make_plan(RunConfig(models=("mlp",), seeds=2, device="cpu", precision=("fp32",)))
(VARIANT,) = PLAN.variants
HERE = Circumstances(environment=make_environment(), dataset="5f1c0e")


def environment_of(**changes: Any) -> Environment:
    return make_environment(**changes)


def recorded(seed: int = 0, **changes: Any) -> RunRecord:
    """A record of the plan's variant, made here, unless `changes` say otherwise."""
    changes = {"code_checksum": VARIANT.code, "environment": HERE.environment, **changes}
    return make_record(VARIANT.config, seed=seed, **changes)


def before(*records: RunRecord, retry_failed: bool = False, plan: Plan = PLAN, here: Circumstances = HERE) -> Done:
    return done_before(plan, here, records, [], retry_failed=retry_failed)


VALUES = st.none() | st.integers(0, 99) | st.text(max_size=8)
PARTS = st.dictionaries(st.text(min_size=1, max_size=8), VALUES, min_size=1, max_size=6)


@given(parts=PARTS, data=st.data())
def test_any_part_changes_the_key_and_their_order_does_not(parts: dict[str, Any], data: st.DataObject) -> None:
    assert content_key(dict(reversed(parts.items()))) == content_key(parts)
    name = data.draw(st.sampled_from(sorted(parts)))
    value = data.draw(VALUES.filter(lambda value: value != parts[name] or type(value) is not type(parts[name])))
    assert content_key({**parts, name: value}) != content_key(parts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"environment": environment_of(torch="2.14.1")}, "with torch 2.14.1"),
        ({"environment": environment_of(python="3.13.0")}, "with Python 3.13"),
        ({"environment": environment_of(cpu_model="Intel Xeon")}, "on another machine"),
        ({"environment": environment_of(microarchitecture="zen3")}, "on another machine"),
        ({"environment": environment_of(isa=["avx2"])}, "on another machine"),
        ({"environment": environment_of(gpu_name="NVIDIA H100", cuda="12.6", gpu_driver="550.1")}, "with driver 550.1"),
        ({"code_checksum": "0" * 64}, "with other code"),
        ({"code_checksum": None}, "before records said with which code"),
        ({"dataset": {**(make_record().dataset or {}), "checksum": "abc123"}}, "on other data"),
    ],
)
def test_what_was_made_otherwise_is_made_again_and_said(changes: dict[str, Any], words: str) -> None:
    other = recorded(**changes)
    assert content_key(record_parts(other)) != content_key(HERE.parts(VARIANT.key, 0, VARIANT.code))
    done = before(other, recorded(1, **changes))
    assert not done.runs and done.num_to_do == 2
    assert "2 runs made" in str(done) and words in str(done) and "will be repeated" in str(done)
    assert "1 run made" in str(before(other)) and "will be repeated" in str(before(other))


@pytest.mark.parametrize(
    "changes",
    [
        {"python": "3.11.9"}, {"commit": "f" * 40}, {"dirty": True}, {"os": "Linux-6.9"}, {"fmnist_zoo": "9.9"},
        {"gpu_driver": "550.1"}, {"timm": "9.9"}, {"memory_gib": 23.4},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_run_does_not_depend_on_is_no_difference(changes: dict[str, Any]) -> None:
    """The driver of a GPU that isn't used, a commit that changed other things, the version of a library not in it."""
    assert set(before(recorded(environment=environment_of(**changes))).runs) == {(VARIANT.key, 0)}


def test_another_recipe_or_seed_is_another_run() -> None:
    other = make_plan(RunConfig(models=("mlp",), seeds=2, device="cpu", precision=("fp32",), lr=(0.123,)))
    done = before(recorded(), recorded(7), plan=other)
    assert not done.runs and not done.again


def test_what_failed_is_left_so_unless_it_is_to_be_tried_again() -> None:
    failed = recorded(1, top1_pct=None, status="oom")  # it never came to say anything of its data
    done = before(recorded(), failed)
    assert {record.status for record in done.runs.values()} == {"ok", "oom"} and done.num_to_do == 0
    assert str(done) == ("resuming: 1 run done, 1 failed and skipped (--retry-failed repeats them), 0 to do")
    again = before(recorded(), failed, retry_failed=True)
    assert set(again.runs) == {(VARIANT.key, 0)} and str(again) == "resuming: 1 run done, 1 to do"
    mended = recorded(1, minutes=5)
    assert before(failed, mended).runs[VARIANT.key, 1] == mended
    late = recorded(1, top1_pct=None, status="failed", minutes=9)
    assert before(mended, late).runs[VARIANT.key, 1] == mended  # what was measured isn't lost by a later failure


def test_a_run_that_has_not_left_the_weights_that_are_wanted_is_made_again() -> None:
    without, with_them = recorded(), recorded(1, weights="weights/x")
    done = done_before(PLAN, HERE, [without, with_them], [], retry_failed=False, kept=["weights"])
    assert set(done.runs) == {(VARIANT.key, 1)} and "1 run made without weights" in str(done)


def test_only_what_began_since_counts() -> None:
    early, late = recorded(0), recorded(1, minutes=10)
    done = done_before(PLAN, HERE, [early, late], [], retry_failed=True, since=late.started_at)
    assert set(done.runs) == {(VARIANT.key, 1)}


def test_what_was_decided_by_measurement_holds_for_the_other_seeds() -> None:
    done = before(recorded())
    assert decided(VARIANT, done.runs.values()) == {"precision": "bf16", "engine": "eager", "reason": "fastest"}
    assert decided(VARIANT, []) is None


def resuming(out: Path, plan: Plan, script: list[Any], log: list[str], text: io.StringIO, **changes: Any) -> Runner:
    options = RunConfig(out=out, **changes)
    display = PlainDisplay(Console(file=text, soft_wrap=True))
    workers: Any = lambda variables: FakeWorker(script, log)  # noqa: E731
    return Runner(plan, options, display, command="run", dataset="5f1c0e", new_worker=workers)


def test_a_resumed_sweep_has_the_records_and_tables_of_one_that_never_stopped(tmp_path: Path) -> None:
    plan = make_plan(RunConfig(models=("mlp", "lstm"), seeds=2, device="cpu"))
    text, log = io.StringIO(), list[str]()
    first = resuming(tmp_path, plan, [good_result, die, good_result, good_result], log, text)
    first.run()
    page = tmp_path / first.machine / "README.md"
    whole = page.read_text()
    page.write_text(whole.replace("lstm", "gone"))  # as if a kill had come between the record and the tables
    state = checkpoint_path(tmp_path / first.machine, record_parts(first.store.read_all()[0][0]))
    state.parent.mkdir()
    state.write_bytes(b"left by a kill between the record and what follows it")

    log.clear()
    runner = resuming(tmp_path, plan, [], log, text, resume=True)
    records = runner.run(done=runner.done_before(retry_failed=False)).records
    assert log == [] and [record.status for record in records] == ["ok", "ok", "failed", "ok"]
    assert page.read_text() == whole and not state.exists()
    assert "resuming: 3 runs done, 1 failed and skipped" in text.getvalue()

    runner = resuming(tmp_path, plan, [good_result], log, text, resume=True)
    runner.run(done=runner.done_before(retry_failed=True))
    assert log == ["start", "lstm 0", "close"]


def test_a_state_is_kept_for_a_run_that_may_go_on_and_only_for_that(tmp_path: Path) -> None:
    """A sweep that doesn't resume never takes an old one; a run that died keeps its own; one that is ok has none."""
    asked: list[dict[str, Any] | None] = []

    def leaving(end: Any) -> Any:
        def run(job: dict[str, Any]) -> dict[str, Any]:
            asked.append(job["checkpoint"])
            if job["checkpoint"] is not None:
                path = Path(job["checkpoint"]["path"])
                asked[-1]["found"] = path.exists()  # type: ignore[index]
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"a state")
            return end(job)

        return run

    def sweep(*ends: Any, **changes: Any) -> Runner:
        asked.clear()
        runner = resuming(tmp_path, PLAN, [leaving(end) for end in ends], [], io.StringIO(), **changes)
        done = runner.done_before(retry_failed=True) if changes.get("resume") else Done()
        runner.run(done=done)
        return runner

    runner = sweep(die, good_result, checkpoint_every=5)
    folder = tmp_path / runner.machine / "checkpoints"
    first = asked[0]
    assert first is not None and (first["every_epochs"], first["found"]) == (5, False)
    assert [path.name for path in folder.iterdir()] == [f"{first['key']}.safetensors"]
    sweep(die, die)
    assert asked == [None, None] and list(folder.iterdir()) == []  # begun anew, and nothing asked to keep
    sweep(die, die, checkpoint_every=1)
    sweep(die, die, checkpoint_every=1)
    assert [job and job["found"] for job in asked] == [False, False]
    left = resuming(tmp_path, PLAN, [], [], io.StringIO(), resume=True)
    left.run(done=left.done_before(retry_failed=False))  # what failed is left so, and may still be tried again later
    sweep(die, resume=True)  # --resume alone takes what is there, and keeps nothing further
    assert [job and (job["every_epochs"], job["found"]) for job in asked] == [(None, True)]
    assert len(list(folder.iterdir())) == 1
    records = RecordStore(tmp_path / runner.machine).read_all()[0]
    assert {record.code_checksum for record in records} == {VARIANT.code}


def test_the_time_of_an_earlier_process_is_part_of_the_wall_time(tmp_path: Path) -> None:
    def went_on(job: dict[str, Any]) -> dict[str, Any]:
        return {**good_result(job), "ledger": {"data": 0.1, "train": 1000.0}, "carried_s": 990.0}

    plan = dataclasses.replace(PLAN, seeds=(0,))
    (record,) = resuming(tmp_path, plan, [went_on], [], io.StringIO()).run().records
    parts = [value for name, value in record.ledger.items() if name != "wall_s"]
    assert record.ledger["wall_s"] is not None and record.ledger["wall_s"] > 990.0
    assert sum(parts) == pytest.approx(record.ledger["wall_s"])  # type: ignore[arg-type]


def test_a_run_that_goes_on_and_then_fails_keeps_its_time_and_its_epochs(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a worker's own code: killed after the first epoch, resumed, and then broken off by an error."""
    monkeypatch.setattr(training_run, "load_dataset", lambda name, root, progress: small)
    recipe = {**VARIANT.config["recipe"], "budget": "epochs:3", "batch_size": 200}
    job: Any = {
        "task": "run", "config": {**VARIANT.config, "recipe": recipe, "num_val": 0}, "seed": 0, "run_id": "x",
        "device": "cpu", "measure": [], "limit_s": 0.1, "choice": None, "data_dir": None, "weights": None,
        "machine_dir": str(tmp_path), "profile": False, "training_flops": 1, "plugins": [], "decided": None,
        "roofline": str(tmp_path / "roofline.json"),
        "checkpoint": {"path": str(tmp_path / "state"), "key": "k", "every_epochs": 1},
    }  # fmt: skip
    keep_roofline(tmp_path / "roofline.json", {**make_roofline(), "measured_at": f"{datetime.now(UTC):%FT%TZ}"})

    def fails_at(epoch: int) -> Callable[[dict[str, Any]], None]:
        def emit(event: dict[str, Any]) -> None:
            if event.get("epoch") == epoch:
                raise RuntimeError("an error of the middle")

        return emit

    found: list[dict[str, Any]] = []
    for epoch in (2, 3):
        worker = training_run.TrainingRuns()
        with pytest.raises(RuntimeError, match="of the middle"):
            worker.run(job, fails_at(epoch))
        found.append(worker.found)
    first, second = found
    assert first["carried_s"] == 0.0 and len(first["history"]) == 2
    assert second["carried_s"] > 0 and [epoch["epoch"] for epoch in second["history"]] == [1, 2, 3]
    assert second["history"][0] == first["history"][0]
    assert second["ledger"]["train"] > first["history"][0]["elapsed_s"]
