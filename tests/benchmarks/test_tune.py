"""Tuning: the same effort for every model, resumable, recorded whole, and never on the test images."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records.tuning import TrialResult
from benchmarks.tune.__main__ import main
from benchmarks.tune.config import LR_RANGE, WEIGHT_DECAY_RANGE, TuneConfig
from benchmarks.tune.worker import Trainer, TrialJob
from benchmarks.workers.slot import Slot
from fmnist_zoo.data import load_dataset
from fmnist_zoo.recipe import Budget, Recipe
from tests.benchmarks.fake_workers import FakeWorker


def test_without_optuna_one_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["--models", "mlp"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == ("error: tuning needs Optuna, from the extra `tune`: run pip install -e '.[tune]' in the checkout")


def score(job: TrialJob) -> float:
    """Best at a rate of 0.01 and a decay of 0.05, differently steep by model."""
    recipe = job["config"]["recipe"]
    steep = 10 if job["config"]["model"] == "mlp" else 3
    return 90.0 - steep * abs(recipe["lr"] - 0.01) - abs(recipe["weight_decay"] - 0.05)


def result(top1_pct: float | None, **changes: Any) -> TrialResult:
    values: dict[str, Any] = {
        "status": "ok", "error": None, "val_top1_pct": top1_pct, "val_loss": 0.3, "train_top1_pct": 95.0,
        "train_s": 2.0, "wall_s": 3.0, "precision": "bf16", "engine": "eager",
    }  # fmt: skip
    return {**values, **changes}  # type: ignore[typeddict-item]


class FakeTrainer(FakeWorker):
    """Answers at once by a formula; stops like a person with Ctrl-C after so many trials."""

    def __init__(self, stop_after: int | None = None, answer: Callable[[TrialJob], TrialResult] | None = None) -> None:
        super().__init__(self._train)
        self.jobs: list[TrialJob] = []
        self._stop_after, self._answer = stop_after, answer or (lambda job: result(score(job)))

    def _train(self, job: TrialJob) -> dict[str, Any]:
        if len(self.jobs) == self._stop_after:
            raise KeyboardInterrupt
        self.jobs.append(job)
        return dict(self._answer(job))


def tried(trainer: FakeTrainer) -> list[tuple[str, float, float]]:
    configs = [job["config"] for job in trainer.jobs]
    return [(config["model"], config["recipe"]["lr"], config["recipe"]["weight_decay"]) for config in configs]


def run(out: Path, trainer: FakeTrainer, **options: Any) -> int:
    pytest.importorskip("optuna")
    from benchmarks.tune.tune import tune

    values: dict[str, Any] = {"models": ("mlp", "cnn"), "trials": 6, "device": "cpu", "out": out, **options}
    return tune(TuneConfig(**values), "python -m benchmarks.tune", new_worker=lambda: trainer)


def outcome(out: Path) -> dict[str, Any]:
    (path,) = out.glob("*/tuning/*.json")
    return json.loads(path.read_bytes())


def test_every_model_has_the_same_number_of_trials_in_the_same_ranges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = FakeTrainer()
    assert run(tmp_path, trainer) == 0
    assert [model for model, _, _ in tried(trainer)] == ["mlp"] * 6 + ["cnn"] * 6
    firsts = {tried(trainer)[0][1:], tried(trainer)[6][1:]}
    assert firsts == {(0.01, 0.05)}  # the equal track's own, not what was tuned before
    for _, lr, weight_decay in tried(trainer):
        assert LR_RANGE["muon"][0] <= lr <= LR_RANGE["muon"][1]
        assert WEIGHT_DECAY_RANGE[0] <= weight_decay <= WEIGHT_DECAY_RANGE[1]
        assert float(f"{lr:.2g}") == lr
    assert len(set(tried(trainer))) > 8
    found = outcome(tmp_path)
    assert found["train_s"] == 24.0
    trials = [trial for entry in found["models"].values() for trial in entry["trials"]]
    assert found["wall_s"] == pytest.approx(sum(trial["result"]["wall_s"] for trial in trials))
    assert found["models"]["cnn"]["train_s"] == 12.0 and len(found["models"]["cnn"]["trials"]) == 6
    assert found["recipe"]["optimizer"] == "muon" and "lr" not in found["recipe"]
    assert found["models"]["mlp"]["chosen"] == {"lr": 0.01, "weight_decay": 0.05}
    assert (
        'mlp: tuned={"muon": {"lr": 0.01, "weight_decay": 0.05}}  # 90.00%, the best of 6 trials'
        in capsys.readouterr().out
    )


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, first, second = FakeTrainer(), FakeTrainer(stop_after=8), FakeTrainer()
    assert run(tmp_path / "whole", whole) == 0
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", first)
    assert len(outcome(tmp_path / "parts")["models"]["cnn"]["trials"]) == 2
    assert run(tmp_path / "parts", second) == 0
    assert tried(first) + tried(second) == tried(whole)
    parts, at_once = (outcome(tmp_path / name)["models"] for name in ("parts", "whole"))
    for entry in (*parts.values(), *at_once.values()):
        assert entry.pop("wall_s") >= 0.0 and all(trial["result"].pop("wall_s") >= 0.0 for trial in entry["trials"])
    assert parts == at_once
    again = FakeTrainer()
    assert run(tmp_path / "parts", again) == 0
    assert again.jobs == []
    alone = FakeTrainer()
    assert run(tmp_path / "parts", alone, models=("lstm",)) == 0  # adds to what is there
    assert set(outcome(tmp_path / "parts")["models"]) == {"mlp", "cnn", "lstm"}
    more = FakeTrainer()
    assert run(tmp_path / "parts", more, trials=7) == 0
    assert len(more.jobs) == 2


def test_a_trial_that_diverges_counts_and_is_never_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(job: TrialJob) -> TrialResult:
        failed = result(None, status="diverged", error="DivergedError", val_loss=None, train_s=None)
        return (
            failed if job["config"]["recipe"]["lr"] == 0.01 or job["config"]["model"] == "cnn" else result(score(job))
        )

    trainer = FakeTrainer(answer=answer)
    assert run(tmp_path, trainer) == 1
    found = outcome(tmp_path)["models"]
    assert len(trainer.jobs) == 12 and found["cnn"]["chosen"] is None and found["mlp"]["chosen"]["lr"] != 0.01
    assert "cnn: no trial ended well" in capsys.readouterr().out


def test_trials_of_another_recipe_or_seed_are_not_mixed_in(tmp_path: Path) -> None:
    assert run(tmp_path, FakeTrainer(), models=("mlp",)) == 0
    with pytest.raises(ValueError, match="another recipe or seed; move it away to start over"):
        run(tmp_path, FakeTrainer(), models=("mlp",), seed=1)
    assert run(tmp_path, FakeTrainer(), models=("mlp",), preset="standard") == 0  # has files of its own
    assert len(list(tmp_path.glob("*/tuning/*.json"))) == 2
    with pytest.raises(ValueError, match="--trials 0"):
        run(tmp_path, FakeTrainer(), trials=0)


def test_equal_values_are_chosen_by_their_loss(tmp_path: Path) -> None:
    losses = iter([0.4, 0.2, 0.3])
    assert (
        run(tmp_path, FakeTrainer(answer=lambda job: result(91.0, val_loss=next(losses))), models=("mlp",), trials=3)
        == 0
    )
    entry = outcome(tmp_path)["models"]["mlp"]
    second = entry["trials"][1]
    assert entry["chosen"] == {"lr": second["lr"], "weight_decay": second["weight_decay"]}


def real_job(*, model: str = "tutorial_mlp_256", plugins: tuple[Path, ...] = ()) -> TrialJob:
    return TrialJob(
        config={
            "model": model,
            "model_options": {},
            "recipe": Recipe(budget=Budget("flops", 2e9), lr=1e-3).as_dict(),
            "precision": "fp32",
            "engine": "eager",
            "dataset": "fashion_mnist",
            "num_val": 5000,
        },
        device="cpu",
        data_dir=None,
        plugins=[str(path) for path in plugins],
    )


def test_a_trial_is_judged_by_the_validation_images_alone() -> None:
    trainer = Trainer()
    dataset = load_dataset("fashion_mnist", progress=False)
    trainer.dataset = dataclasses.replace(dataset, test=None)  # type: ignore[arg-type]  # whatever reads it fails
    found = trainer(real_job(), print)
    assert 10 < found["val_top1_pct"] < 90 and found["train_s"] > 0
    assert found["precision"] and found["engine"]


def test_a_real_process_trains_and_survives_what_goes_wrong(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    from benchmarks.tune.tune import trained, trial_worker

    plugin = tmp_path / "falls.py"
    plugin.write_text("import os\nos._exit(3)\n", encoding="utf-8")
    recipe = Recipe(budget=Budget("flops", 2e9))
    with Slot(trial_worker) as slot:

        def train(model: str = "tutorial_mlp_256", plugins: tuple[Path, ...] = ()) -> TrialResult:
            return trained(slot, model, recipe, TuneConfig(device="cpu", plugin=plugins), 1e-3, 0.05)

        good = train()
        assert good["status"] == "ok" and good["val_top1_pct"] is not None and good["wall_s"] > 0
        unknown = train("no_such_net")
        assert unknown["status"] == "failed" and "no_such_net" in (unknown["error"] or "")
        dead = train(plugins=(plugin,))
        assert dead["status"] == "failed" and dead["val_top1_pct"] is None
        assert train()["status"] == "ok"
