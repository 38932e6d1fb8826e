"""Predictions of several runs side by side: what is confused, what all get wrong, where they disagree."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.records.store import RecordStore
from benchmarks.report.mistakes.__main__ import main
from benchmarks.report.mistakes.figures import right_of, wrong_of
from benchmarks.report.mistakes.votes import Voter, Votes
from fmnist_zoo.data import Dataset
from tests.benchmarks.sample_records import make_config, make_record, write_records

NAMES = ("shirt", "coat", "bag")
ROOT = Path(__file__).parents[2]


def voter(model: str, *runs: Sequence[int], confidence: float | Sequence[float] = 0.5) -> Voter:
    predicted = np.array(runs, np.uint8)
    shares = np.broadcast_to(np.asarray(confidence, np.float32), predicted.shape)
    return Voter(label=model, model=model, predicted=predicted, confidence=shares)


def votes_of(labels: Sequence[int], *voters: Voter) -> Votes:
    return Votes(voters=list(voters), labels=np.array(labels), class_names=NAMES)


def test_what_every_run_gets_wrong_comes_with_the_surest_first() -> None:
    votes = votes_of(
        [0, 0, 1, 2],
        voter("mlp", [1, 1, 1, 0], confidence=[0.4, 0.9, 1.0, 0.5]),
        voter("cnn", [1, 2, 0, 0], [2, 1, 1, 2], confidence=[0.4, 0.9, 1.0, 0.5]),
    )
    assert votes.wrong_for_all().tolist() == [1, 0]
    assert votes.num_wrong.tolist() == [3, 3, 1, 2]


def test_each_architecture_has_one_vote_however_many_runs_it_has() -> None:
    votes = votes_of([0], voter("mlp", [0]), voter("cnn", [1], [1], [1]))
    assert votes.shares.tolist() == [[0.5, 0.5, 0.0]]
    assert votes.entropy_bits.tolist() == [1.0]
    assert votes.named(0) == [(1, 3), (0, 1)]


def test_variants_of_an_architecture_share_its_vote() -> None:
    half = dataclasses.replace(voter("cnn", [0]), label="cnn bf16")
    votes = votes_of([0], voter("mlp", [1]), voter("cnn", [1]), half)
    assert votes.shares.tolist() == [[0.25, 0.75, 0.0]]
    assert votes.models == ["mlp", "cnn"]


def test_images_on_which_architectures_disagree_most_come_first() -> None:
    runs = {"a": [0, 0, 0, 0], "b": [0, 0, 1, 0], "c": [0, 1, 2, 0], "d": [1, 1, 2, 0]}
    votes = votes_of([0, 0, 0, 0], *(voter(model, run) for model, run in runs.items()))
    assert votes.most_disputed().tolist() == [2, 1, 0]  # 2, 1, 1 votes; 2, 2; 3, 1; of one mind


def test_confusions_are_counted_by_run_and_the_best_and_worst_class_found() -> None:
    one = voter("mlp", [0, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2])
    votes = votes_of([0, 0, 0, 1, 2, 2], one)
    found = [(each.true, each.predicted, each.num_images) for each in votes.confusions([one])]
    assert found == [(0, 1, 2.5), (1, 2, 1.0)]
    assert votes.recalls(one).tolist() == pytest.approx([0.5 / 3, 0.0, 1.0])
    assert votes.errors_of(0).tolist() == [1, 2, 0]


@settings(max_examples=40, deadline=None)
@given(
    labels=arrays(np.int64, 30, elements=st.integers(0, 2)),
    predicted=st.lists(arrays(np.uint8, (2, 30), elements=st.integers(0, 2)), min_size=1, max_size=4),
)
def test_any_predictions_are_counted_whole(labels: np.ndarray, predicted: list[np.ndarray]) -> None:
    voters = [voter(f"model_{place}", *runs.tolist()) for place, runs in enumerate(predicted)]
    votes = votes_of(labels.tolist(), *voters)
    assert np.allclose(votes.shares.sum(1), 1.0)
    for one in voters:
        matrix = votes.confusion_matrix(one)
        assert matrix.sum() == pytest.approx(30)
        assert sum(each.num_images for each in votes.confusions([one])) == pytest.approx(30 - matrix.trace())
    named = [{int(run[image]) for runs in predicted for run in runs} for image in range(30)]
    assert set(votes.most_disputed().tolist()) == {image for image in range(30) if len(named[image]) > 1}
    assert sum(len(votes.errors_of(label)) for label in range(3)) == np.count_nonzero(votes.num_wrong)
    for image in range(30):
        assert {label for label, _ in votes.named(image)} == named[image]
        assert sum(count for _, count in votes.named(image)) == votes.num_runs


def test_sheets_show_what_a_run_is_sure_of_and_wrong_and_some_of_each_class_it_gets_right() -> None:
    one = voter("mlp", [1, 0, 1, 2, 0], confidence=[0.6, 0.7, 0.8, 0.9, 0.95])
    votes = votes_of([0, 0, 1, 2, 2], one)
    assert wrong_of(votes, one).tolist() == [4, 0]
    assert right_of(votes, one).tolist() == [1, 2, 3]


@pytest.fixture
def machine(tmp_path: Path, fashion_mnist: Dataset) -> Path:
    """Two models' runs: one is wrong on the first 30 images, the other on the first 20, both for the next class."""
    folder = tmp_path / "results" / "machine"
    store = RecordStore(folder)
    labels = fashion_mnist.test.labels.numpy()
    for model, num_wrong in (("mlp", 30), ("cnn", 20)):
        predicted = labels.copy()
        predicted[:num_wrong] = (labels[:num_wrong] + 1) % 10
        record = make_record(config=make_config(model), top1_pct=100 - num_wrong / 100)
        confidence = np.linspace(0.5, 1.0, 10_000).astype(np.float16)
        predictions = store.write_predictions(record.run_id, predicted.astype(np.uint8), confidence)
        assert record.dataset is not None
        record.dataset["checksum"] = fashion_mnist.checksum
        store.write(dataclasses.replace(record, predictions=predictions))
    return folder


def test_the_command_says_all_from_a_machines_folder_or_the_results(
    machine: Path, fashion_mnist: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(machine), "--class", "ankle boot"]) == 0
    text = capsys.readouterr().out
    assert "2 rows, 2 runs, 10,000 test images" in text
    assert "wrong in every run: 20 of 10,000 test images (0.20%); on 20 of them all runs predict the same class" in text
    assert "runs disagree on 10 test images" in text
    boots = torch.nonzero(fashion_mnist.test.labels[:30] == 9).flatten().tolist()
    assert f"errors of Ankle boot: {len(boots)} of its 1,000 test images" in text
    errors = text[text.index("errors of Ankle boot") :].splitlines()[4:]
    both = [image for image in boots if image < 20]
    assert [int(line.split()[0]) for line in errors] == [*both, *(image for image in boots if image >= 20)]
    assert all(line.count("T-shirt/top 50%") == (2 if int(line.split()[0]) < 20 else 1) for line in errors)
    write_records(machine.parent / "an-earlier-one", make_record(minutes=-9))
    assert main([str(machine.parent), "--class", "ankle boot"]) == 0
    assert capsys.readouterr().out == text


def test_sheets_are_drawn_the_same_each_time(machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contents = []
    for place in ("one", "two"):
        assert main([str(machine), "--class", "Bag", "--figures", str(tmp_path / place)]) == 0
        contents.append({path.name: path.read_bytes() for path in (tmp_path / place).iterdir()})
    names = {"wrong-for-all", "disputed", "wrong-mlp", "right-mlp", "wrong-cnn", "right-cnn", "errors-Bag"}
    assert set(contents[0]) == {f"{name}.{suffix}" for name in names for suffix in ("svg", "png")}
    assert contents[0] == contents[1]
    assert "wrong-mlp.png" in capsys.readouterr().out


def test_the_committed_runs_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(ROOT / "results" / "amd-epyc-avx512-bf16-2-cores"), "--section", "1"]) == 0
    text = capsys.readouterr().out
    assert "wrong in every run" in text and "Shirt" in text


def test_what_can_not_be_done_is_said_in_a_sentence(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def error_of(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        output = capsys.readouterr()
        assert output.out == "" and output.err.startswith("error: ") and output.err.count("\n") == 1
        return output.err

    assert "holds no runs" in error_of(tmp_path / "nowhere")
    assert "not one of T-shirt/top" in error_of(machine, "--class", "Shrt")
    assert "did you mean 'Shirt'" in error_of(machine, "--class", "Shrt")
    assert "--section 2 must be from 1 to 1" in error_of(machine, "--section", "2")
    (tmp_path / "results" / "other" / "runs").mkdir(parents=True)
    assert "no readable record" in error_of(tmp_path / "results" / "other")
    for path in machine.glob("runs/*.safetensors"):
        path.unlink()
    assert "can't be read" in error_of(machine)


def test_runs_on_other_images_or_without_predictions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = make_record(config=make_config("mlp"), top1_pct=90.0)
    RecordStore(tmp_path).write(dataclasses.replace(record, predictions=None))
    assert main([str(tmp_path)]) == 2
    assert "saved its predictions" in capsys.readouterr().err
    RecordStore(tmp_path).write(dataclasses.replace(record, predictions=f"{record.run_id}.safetensors"))
    assert main([str(tmp_path)]) == 2
    assert "another dataset" in capsys.readouterr().err
