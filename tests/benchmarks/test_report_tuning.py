"""The search for the equal track's rates, on a machine's page: made from its file alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.records.tuning import FOLDER, About, Trial, read_searches, write_search
from benchmarks.report import write_report
from fmnist_zoo.registry import FAMILIES, get_spec
from tests.benchmarks.sample_records import make_record, report_text, write_records

ROOT = Path(__file__).parents[2]


def trial(lr: float, top1_pct: float | None, **changes: Any) -> Trial:
    result: dict[str, Any] = {
        "status": "ok", "error": None, "val_top1_pct": top1_pct, "val_loss": 0.25, "train_top1_pct": 95.0,
        "train_s": 12.5, "wall_s": 15.0, "precision": "bf16", "engine": "eager", **changes,
    }  # fmt: skip
    return {"lr": lr, "weight_decay": 0.05, "result": result}  # type: ignore[typeddict-item]


def about() -> About:
    environment = make_record().environment
    return {
        "schema_version": 1,
        "command": "python -m benchmarks.tune",
        "environment": {"hardware": environment["hardware"], "software": environment["software"]},
        "seed": 0,
        "trials_per_model": 2,
        "dataset": "fashion_mnist",
        "preset": "quick",
        "recipe": {"optimizer": "muon", "budget": "epochs:5"},
    }


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    folder = tmp_path / "one-machine"
    write_records(folder, make_record())
    return folder


def page(machine: Path) -> str:
    write_report(machine.parent, machine.name)
    return report_text(machine)


def cells(text: str, *first: str) -> list[str]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    (found,) = (row for row in rows if row[: len(first)] == list(first))
    return found


def test_the_page_shows_what_was_chosen_every_trial_and_the_cost(machine: Path) -> None:
    failed = trial(0.5, None, status="diverged", val_loss=None, train_top1_pct=None, train_s=None)
    found = {"mlp": [trial(0.01, 90.0), trial(0.02, 90.5)], "cnn": [failed, failed]}
    write_search(machine / FOLDER / "quick.json", about(), found)
    text = page(machine)
    chosen = text.partition("\n## Learning rate and weight decay")[2].partition("\n## ")[0]
    trials = text.partition("\n# All trials")[2]
    assert "2 trials per model" in chosen and "25 s of training, 60 s" in chosen
    assert cells(chosen, "mlp")[1:] == ["0.02", "0.05", "90.50", "90.00 to 90.50", "25"]
    assert cells(chosen, "cnn")[1:] == ["—", "—", "—", "2 failed", "0"]
    assert cells(trials, "mlp", "2")[2:] == ["0.02", "0.05", "90.50", "0.2500", "95.00", "12.5", "bf16", "eager", "ok"]
    assert cells(trials, "cnn", "1")[4:8] == ["—"] * 4 and cells(trials, "cnn", "1")[-1] == "diverged"


def test_without_a_search_nothing_is_said_of_one(machine: Path) -> None:
    assert "## Learning rate and weight decay" not in page(machine)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b'{"schema_version": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_holds_no_search_is_named_and_skipped(machine: Path, damage: bytes) -> None:
    folder = machine / FOLDER
    write_search(folder / "good.json", about(), {"mlp": [trial(0.01, 90.0)]})
    (folder / "bad.json").write_bytes(damage)
    outcomes, problems = read_searches(machine)
    assert len(outcomes) == 1 and [problem.name for problem in problems] == [f"{FOLDER}/bad.json"]
    text = page(machine)
    assert f"File {FOLDER}/bad.json was skipped" in text and "0.01" in text[text.index("## Learning rate") :]


def test_a_search_of_another_schema_is_not_guessed_at(machine: Path) -> None:
    path = machine / FOLDER / "other.json"
    write_search(path, about(), {})
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"schema_version": 2}), encoding="utf-8")
    outcomes, problems = read_searches(machine)
    assert outcomes == [] and "schema_version" in problems[0].reason


def test_the_equal_track_uses_what_the_committed_search_chose() -> None:
    outcomes, problems = read_searches(ROOT / "results" / "amd-epyc-2-cores-unrecorded")
    (search,) = (one for one in outcomes if one["recipe"]["optimizer"] == "muon")
    assert problems == [] and set(search["models"]) == set(FAMILIES) and search["recipe"]["budget"] == "epochs:5"
    for model, found in search["models"].items():
        assert len(found["trials"]) == search["trials_per_model"] == 8
        assert get_spec(model).tuned["muon"] == found["chosen"]
