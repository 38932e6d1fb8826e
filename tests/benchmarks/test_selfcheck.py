"""The A/A check: what it finds in machines of known noise, its file, its command, and a short real one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.measure.clock import timed_by_clock
from benchmarks.measure.interleave import NUM_ROUNDS, SAMPLE_S
from benchmarks.measure.machine_details import results_folder
from benchmarks.records import selfcheck as results
from benchmarks.selfcheck import __main__ as command
from benchmarks.selfcheck.config import SelfcheckConfig
from benchmarks.selfcheck.measure import portions, steps_per_sample
from benchmarks.selfcheck.page import page
from benchmarks.selfcheck.summary import between_processes, is_within_level, within_process
from benchmarks.sweep.config import PRESETS, recipe_for
from benchmarks.workers.client import WorkerDiedError
from fmnist_zoo.registry import get_spec
from tests.benchmarks.fake_workers import FakeWorker as AnyWorker
from tests.benchmarks.sample_records import make_config, make_record, write_records
from tests.benchmarks.sample_selfcheck import make_rate, make_selfcheck, simulated


@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_equal_arms_are_found_to_differ_as_seldom_as_promised(drift: float) -> None:
    within = within_process(simulated(2000, drift=drift))
    # The interval of 18 rounds holds in 96.9% of all cases; three standard errors of 2,000 are 1.2%.
    assert within["false_difference_rate"] == pytest.approx(0.031, abs=0.0125)
    assert is_within_level(within)
    # 1.96 * 1.2533 * 1.414% / sqrt(18), by the normal's median
    assert within["floor_pct"] == pytest.approx(0.82, abs=0.1)


def test_a_true_difference_is_found_in_quiet_noise() -> None:
    within = within_process(simulated(100, difference=0.03, noise=0.005))
    assert within["num_different"] == 100 and within["false_difference_rate"] == 1.0
    assert not is_within_level(within)
    assert all(each["ratio"] == pytest.approx(1 / 1.03, abs=0.01) for each in within["comparisons"])


def test_the_limit_is_five_percent_and_three_standard_errors() -> None:
    equal, different = simulated(200), simulated(19, difference=0.1)
    within = within_process([*equal[:181], *different])
    assert (
        within["largest_rate"]
        == pytest.approx(0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5)
        == pytest.approx(0.0962, abs=1e-4)
    )
    rate = within["num_different"] / 200
    assert within["standard_error"] == pytest.approx((rate * (1 - rate) / 200) ** 0.5)
    assert not is_within_level(within)
    assert is_within_level({**within, "false_difference_rate": 0.096})


def test_floors_are_by_arm_and_over_all() -> None:
    rows = [*simulated(50, noise=0.001), *simulated(50, noise=0.05)]
    for each in rows[50:]:
        each["arm"] = "cnn"
    within = within_process(rows)
    quiet, loud = within["floor_pct_by_arm"]["mlp"], within["floor_pct_by_arm"]["cnn"]
    assert quiet < within["floor_pct"] < loud
    alone = np.quantile([100 * abs(each["ratio"] - 1) for each in rows[:50]], 0.95)
    assert quiet == pytest.approx(alone)


def test_processes_are_compared_with_those_of_the_same_arm_only() -> None:
    found = between_processes(
        [make_rate("mlp", 100.0), make_rate("cnn", 10.0, 50.0), make_rate("mlp", 110.0), make_rate("cnn", 8.0, 50.0)]
    )
    assert found["num_pairs"] == 2
    assert found["train_floor_pct_by_arm"] == pytest.approx({"mlp": 10.0, "cnn": 25.0})
    assert found["infer_floor_pct_by_arm"] == {"mlp": 0.0, "cnn": 0.0}
    assert found["train_floor_pct"] == pytest.approx(10 + 0.95 * 15) and found["infer_floor_pct"] == 0.0


def test_six_processes_are_fifteen_pairs() -> None:
    found = between_processes([make_rate("mlp", 100.0 + number) for number in range(6)])
    assert found["num_pairs"] == 15
    assert 4.0 < found["train_floor_pct"] < 5.0


def test_a_sample_has_as_many_steps_as_it_needs() -> None:
    now_s = 0.0
    tried: list[int] = []

    def work(steps: int) -> None:
        nonlocal now_s
        tried.append(steps)
        now_s += 0.0005 + 0.003 * steps

    assert steps_per_sample(work, timed_by_clock(lambda: None, lambda: now_s)) == 7
    assert 0.0005 + 0.003 * 7 >= SAMPLE_S > 0.0005 + 0.003 * 6
    assert tried == sorted(set(tried))
    assert portions(7, 32) == [7] and portions(70, 32) == [32, 32, 6] and portions(64, 32) == [32, 32]


def test_the_terminal_shows_each_model_and_the_verdict() -> None:
    good = page(make_selfcheck())
    assert [line.split()[0] for line in good.splitlines()[2:4]] == ["mlp", "all"]
    assert "as expected" in good
    assert "TOO MANY" in page(make_selfcheck(simulated(20, difference=0.1)))


class FakeWorker(AnyWorker):
    """A process that measures nothing: arms differ by `difference`, and rates by process."""

    def __init__(self, jobs: list[Any], *, difference: float = 0.0, dies: bool = False) -> None:
        super().__init__(dict)
        self.jobs, self.difference, self.dies = jobs, difference, dies

    def run(
        self, job: Any, on_event: Callable[[dict[str, Any]], None], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        self.jobs.append(job)
        if self.dies:
            raise WorkerDiedError("the worker process was killed by signal 9")
        if job["comparisons"] is None:
            return {"status": "ok", "train_img_per_s": 100.0 + len(self.jobs), "infer_img_per_s": 1000.0}
        for each in simulated(job["comparisons"], difference=self.difference):
            on_event({name: each[name] for name in ("steps_per_sample", "first_s", "second_s")})  # type: ignore[literal-required]
        return {"status": "ok", "num_threads": 2}


def test_models_share_the_comparisons_and_take_turns_with_their_processes(tmp_path: Path) -> None:
    jobs: list[Any] = []
    options = SelfcheckConfig(models=("mlp", "lstm"), comparisons=5, processes=2, device="cpu", out=tmp_path)
    path, found = command.selfcheck(options, "command", new_worker=lambda: FakeWorker(jobs))
    assert [(job["config"]["model"], job["comparisons"]) for job in jobs] == [
        ("mlp", 3), ("lstm", 3), ("mlp", None), ("lstm", None), ("mlp", None), ("lstm", None),
    ]  # fmt: skip
    assert len(found["within_process"]["comparisons"]) == 6
    recipes = [recipe_for(get_spec(model), "equal", PRESETS["quick"])[0].as_dict() for model in ("mlp", "lstm")]
    assert [job["config"]["recipe"] for job in jobs[:2]] == recipes
    assert found["settings"]["arms"] == {
        model: {"model": model, "precision": "fp32", "engine": "eager", "recipe": recipe}  # nothing is recorded here
        for model, recipe in zip(("mlp", "lstm"), recipes, strict=True)
    }
    details = found["environment"]["details"]
    assert details is not None and details["num_threads"] == 2 and "OMP_NUM_THREADS" in details["variables"]
    assert path == results_folder(tmp_path, "cpu") / "selfcheck.json"
    assert results.read(path.parent) == (found, None)


def test_arms_are_axes_and_auto_is_what_runs_with_that_recipe_had(tmp_path: Path) -> None:
    recipe = recipe_for(get_spec("mlp"), "equal", PRESETS["standard"])[0].as_dict()
    machine = results_folder(tmp_path, "cpu")
    other = make_record(make_config("mlp", recipe=recipe | {"optimizer": "sgd"}), minutes=9)
    assert other.execution is not None
    other.execution["precision"] = "fp32"
    write_records(machine, make_record(make_config("mlp", recipe=recipe)), other)
    options = SelfcheckConfig(
        models=("mlp", "cnn"), preset="standard", precision=("auto", "fp32", "bf16"), comparisons=1, processes=2,
        device="cpu", out=tmp_path,
    )  # fmt: skip
    jobs: list[Any] = []
    _, found = command.selfcheck(options, "command", new_worker=lambda: FakeWorker(jobs))
    assert list(found["settings"]["arms"]) == ["mlp bf16 eager", "mlp fp32 eager", "cnn fp32 eager", "cnn bf16 eager"]
    assert {job["config"]["recipe"]["optimizer"] for job in jobs} == {"adamw"}
    assert set(found["between_processes"]["train_floor_pct_by_arm"]) == set(found["settings"]["arms"])
    assert "mlp bf16 eager" in page(found) and "identical arms (cpu)" in page(found)


@pytest.mark.parametrize(("difference", "exit_code"), [(0.0, 0), (0.1, 1)])
def test_the_exit_code_is_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, difference: float, exit_code: int
) -> None:
    monkeypatch.setattr(command, "worker", lambda: FakeWorker([], difference=difference))
    assert (
        command.main(["--models", "mlp", "--comparisons", "30", "--device", "cpu", "--out", str(tmp_path)]) == exit_code
    )


def test_a_process_that_dies_ends_the_check_and_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    older = results.write(results_folder(tmp_path, "cpu"), make_selfcheck())
    before = older.read_bytes()
    monkeypatch.setattr(command, "worker", lambda: FakeWorker([], dies=True))
    assert command.main(["--models", "mlp", "--device", "cpu", "--out", str(tmp_path)]) == 1
    assert "killed by signal 9" in capsys.readouterr().err
    assert older.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "mlpp"], "unknown model 'mlpp'"),
        (["--comparisons", "0"], "--comparisons 0 must be at least 1"),
        (["--processes", "1"], "--processes 1 must be at least 2"),
        (["--models"], "--models needs a value"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
        (["--engine", "graph", "--device", "cpu"], "engine graph"),
        (["--precision", "tf32", "--device", "cpu"], "precision tf32"),
        (["--out", "/dev/null/results", "--device", "cpu"], "is not writable"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert command.main([*({} if "--out" in arguments else ["--out", str(tmp_path)]), *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and len(printed.err.splitlines()) == 1
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--precision", "fp7"], "fp7"),
        (["--models", "mlp", "--models", "cnn"], "--models appears twice"),
    ],
)
def test_what_is_no_command_line_is_refused_by_the_parser(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(arguments)
    assert ended.value.code == 2 and message in capsys.readouterr().err


@pytest.mark.slow
def test_a_short_real_check(tmp_path: Path) -> None:
    options = SelfcheckConfig(models=("mlp",), comparisons=2, processes=2, device="cpu", out=tmp_path)
    path, found = command.selfcheck(options, "python -m benchmarks.selfcheck")
    assert json.loads(path.read_text(encoding="utf-8")) == found
    assert results.read(path.parent) == (found, None)
    for each in found["within_process"]["comparisons"]:
        assert len(each["first_s"]) == len(each["second_s"]) == NUM_ROUNDS
        assert each["low"] is not None and each["high"] is not None and each["low"] <= each["ratio"] <= each["high"]
        assert 0.5 < each["ratio"] < 2.0  # not a speed: two copies of one thing
        assert np.median(each["first_s"]) > SAMPLE_S / 4
    rates = found["between_processes"]["processes"]
    assert len(rates) == 2 and all(each["infer_img_per_s"] > each["train_img_per_s"] > 0 for each in rates)
