"""The one command for everything: in order, restartable, in one file, and with a deadline."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from benchmarks import reproduce as module
from benchmarks.config import RunConfig
from benchmarks.record import RecordStore
from benchmarks.reproduce import ReproduceConfig, pack, reproduce
from tests.benchmarks.sample_records import make_record

TINY: dict[str, Any] = {"budget": ("flops:2e9",), "precision": ("fp32",), "engine": ("eager",)}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module,
        "STEPS",
        (
            ("the first", RunConfig(models=("mlp",), set=("mlp.hidden=16",), **TINY)),
            ("the second", RunConfig(models=("tutorial_mlp_128_64",), **TINY)),
        ),
    )


def models(out: Path) -> list[str]:
    return sorted(record.model for folder in out.glob("*/runs") for record in RecordStore(folder.parent).read_all()[0])


def test_the_committed_tables_need_the_main_job_and_the_tutorials_in_this_order() -> None:
    assert [config.models for _, config in module.STEPS[:2]] == [("all",), ("tutorials",)]


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
    assert "README.md" in names and sum(name.endswith(".json") for name in names) == 2
    assert sum(name.endswith(".safetensors") for name in names) == 2

    assert reproduce(ReproduceConfig(out=out, device="cpu", step=("first",))) == 0
    assert models(out) == ["mlp", "mlp", "tutorial_mlp_128_64"]


def test_an_unknown_step_and_a_damaged_state_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are: the main job"):
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
