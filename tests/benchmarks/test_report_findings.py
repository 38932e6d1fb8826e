"""What a report says beyond measured numbers: who differs, scores, fronts, times, rankings, and others' results."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from benchmarks.records.schema import Config
from benchmarks.records.store import RecordStore
from benchmarks.report.__main__ import report
from benchmarks.report.answers import read_answers
from benchmarks.report.files import pair_verdicts
from benchmarks.report.findings import page_findings
from benchmarks.report.published import parse_published, published_results, published_text
from benchmarks.report.rows import sections
from tests.benchmarks.sample_records import CLASSES, make_config, make_metrics, make_record, report_text
from tests.benchmarks.sample_runs import CHECKSUM, TRUTH, put_runs


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    return tmp_path / "results" / "amd-epyc-2-cores"


def page(machine: Path) -> str:
    assert report(machine) == 0
    return report_text(machine)


def row(text: str, start: str, *, table: int = 0) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith(f"| {start} ")]
    return [cell.strip() for cell in lines[table].strip("|").split("|")]


def test_rows_that_differ_have_letters_and_a_verdict(machine: Path) -> None:
    put_runs(machine, {"cnn": 93.0, "unet_encoder": 93.0, "mlp": 90.0})
    text = page(machine)
    assert "Rows with a common letter are not significantly different." in text
    header = row(text, "model")
    letters = {name: row(text, name)[header.index("group")] for name in ("cnn", "unet_encoder", "mlp")}
    assert letters == {"cnn": "a", "unet_encoder": "a", "mlp": "b"}
    pairs = [line for line in text.splitlines() if " vs. " in line]
    assert (
        sum("is better" in line for line in pairs) == 2
        and sum("not significantly different" in line for line in pairs) == 1
    )


def test_the_command_says_a_verdict_in_a_sentence(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_runs(machine, {"cnn": 93.0, "unet_encoder": 93.1, "mlp": 90.0})
    before = sorted(machine.rglob("*"))
    assert report(machine.parent, pair=("mlp", "cnn")) == 0
    printed = capsys.readouterr().out
    assert re.search(
        r"cnn is better than mlp by \d\.\d\d points: 95% interval over 3 seeds \d\.\d\d to \d\.\d\d "
        r"\(variance pooled over 3 models\), p < 0\.001 \(Holm, 3 pairs\); simultaneous 95% interval over test",
        printed,
    )
    assert report(machine, pair=("cnn", "unet_encoder")) == 0
    printed = capsys.readouterr().out
    assert "not significantly different" in printed
    assert re.search(r"\d+ more seeds of each \(\d+ in total\)|No number of seeds would detect", printed)
    assert sorted(machine.rglob("*")) == before  # nothing is written


def test_one_seed_gives_a_sentence_and_a_table_without_the_cells_it_can_not_have(machine: Path) -> None:
    put_runs(machine, {"cnn": 93.0, "mlp": 90.0}, num_seeds=1)
    (sentence,) = pair_verdicts(machine, ("cnn", "mlp"))
    assert "No verdict: one seed each, two or more are needed (--seeds 3)." in sentence
    assert "exact McNemar p < 0.001" in sentence
    text = page(machine)
    assert "No verdict from one seed each" in text and "McNemar p (Holm)" in text
    assert "| p (Holm) |" not in text and "verdict |" not in text and "| group" not in text


def test_missing_predictions_are_said_with_the_reason(machine: Path) -> None:
    records = put_runs(machine, {"cnn": 93.0, "mlp": 90.0})
    (machine / "runs" / f"{records[0].run_id}.safetensors").unlink()
    (sentence,) = pair_verdicts(machine, ("cnn", "mlp"))
    assert re.search(r"No verdict: per-image predictions are missing \(1 of 6 runs: .* can't be read", sentence)
    assert "can't be read" in page(machine)
    store = RecordStore(machine)
    store.labels_path(CHECKSUM).unlink()
    (sentence,) = pair_verdicts(machine, ("cnn", "mlp"))
    assert "6 of 6 runs: test labels are missing; add them with python -m benchmarks.labels" in sentence


def test_predictions_of_something_else_are_not_used(machine: Path) -> None:
    store = RecordStore(machine)
    one, short = put_runs(machine, {"cnn": 93.0, "mlp": 90.0}, num_seeds=1)
    right = TRUTH.copy()
    store.write_predictions(one.run_id, right, np.ones(10_000, dtype=np.float16))
    store.write_predictions(short.run_id, right[:5], np.ones(5, dtype=np.float16))
    answers = read_answers(store, [one, short, make_record(top1_pct=None, status="oom")])
    assert answers.by_run == {}
    assert answers.missing[one.run_id] == "accuracy of the predictions contradicts the record"
    assert answers.missing[short.run_id] == "different numbers of predictions and test labels"


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("cnn", "mpl"), "no mpl: did you mean mlp?"),
        (("cnn", "zebra"), "no row is called zebra"),
        (("cnn", "lstm"), "lstm has several rows: lstm lr=0.01; lstm lr=0.02"),
    ],
)
def test_names_that_are_no_row_are_an_error_with_the_way_out(
    machine: Path, capsys: pytest.CaptureFixture[str], pair: tuple[str, str], message: str
) -> None:
    put_runs(machine, {"cnn": 93.0, "mlp": 90.0}, num_seeds=1)
    for lr in (0.01, 0.02):
        put_runs(machine, {"lstm": 90.0}, num_seeds=1, lr=lr)
    assert report(machine, pair=pair) == 2
    assert message in capsys.readouterr().err


def test_rows_with_different_budgets_are_not_compared(machine: Path) -> None:
    best: dict[str, Any] = {"track": "best", "num_train": 60000, "num_val": 0}
    put_runs(machine, {"cnn": 93.0, "mlp": 90.0}, budget="seconds:5", **best)
    put_runs(machine, {"lstm": 91.0}, budget="seconds:9", **best)
    assert len([line for line in page(machine).splitlines() if " vs. " in line]) == 1
    (sentence,) = pair_verdicts(machine, ("cnn", "lstm"))
    assert "are not comparable: different budgets or test sets" in sentence


def test_scores_are_scikit_learns_and_calibration_states_its_bins(machine: Path) -> None:
    (record,) = put_runs(machine, {"cnn": 93.0}, num_seeds=1)
    store = RecordStore(machine)
    predicted, _ = store.read_predictions(record.run_id)
    by_class: Any = precision_recall_fscore_support(TRUTH, predicted)
    record.metrics = make_metrics(record.metrics["test_top1_pct"])  # type: ignore[index]
    record.metrics["per_class"] = [
        {"class": name, "precision": p, "recall": r, "f1": f, "support": int(s)}
        for name, p, r, f, s in zip(CLASSES, *by_class, strict=True)
    ]
    store.write(record)
    (section,) = sections([record])
    findings = page_findings([section], read_answers(store, [record])).by_section[section.conditions]
    (scores,) = findings.frames["scores.csv"]
    macro = precision_recall_fscore_support(TRUTH, predicted, average="macro")[:3]
    assert [scores[f"macro_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(list(macro))
    right = float((predicted == TRUTH).mean())
    sure = float(np.float16(0.95))
    assert scores["ece_pct"] == pytest.approx(100 * abs(sure - right), abs=1e-6) and scores["num_bins"] == 15
    (bin_of_all,) = [entry for entry in findings.frames["reliability.csv"] if entry["num_images"]]
    assert (bin_of_all["num_images"], bin_of_all["accuracy"]) == (10_000, pytest.approx(right))
    assert "ECE (15 bins), points" in page(machine)


def history(*top1: float, seconds: float = 2.0) -> list[Any]:
    return [
        {
            "epoch": epoch, "train_loss": 0.3, "train_top1_pct": 90.0, "val_loss": 0.3, "val_top1_pct": value,
            "lr": 0.0, "elapsed_s": seconds * epoch, "num_steps": 100 * epoch, "scheduled_steps": 300,
        }
        for epoch, value in enumerate(top1, 1)
    ]  # fmt: skip


def test_time_to_accuracy_counts_the_seeds_that_never_got_there(machine: Path) -> None:
    cost = {"forward_gmacs": 0.1, "forward_gflops": 0.2, "training_gflops": 0.6, "step_traffic_bytes": None}
    store = RecordStore(machine)
    for seed, curve in enumerate([(84, 86, 88.5), (85, 87, 87.9), (80, 84, 88)]):
        store.write(make_record(seed=seed, history=history(*curve), cost=cost))
    store.write(make_record(seed=3, history=history(50.0), status="diverged", metrics=None, cost=cost))
    text = page(machine)
    times = text[text.index("Training time, s:") :]
    # to 85%: after 4, 2, 6 and never, the middle two being 4 and 6; to 88%: after 6, never, 6, never
    assert row(times, "mlp")[1:] == ["5.00 (3/4)", "> 6.00 (2/4)"]
    assert "No run reached 90%, 92%, 93%, 94%, 95%." in text
    assert "Training compute, PFLOP" in text and "Energy" not in text


def test_without_validation_images_there_is_no_time_to_accuracy(machine: Path) -> None:
    put_runs(machine, {"cnn": 93.0}, track="best", num_train=60000, num_val=0)
    assert "Time to accuracy" not in page(machine)


def test_the_front_is_shown_with_its_probability(machine: Path) -> None:
    put_runs(machine, {"cnn": 93.0, "mlp": 90.0})
    text = page(machine)
    fronts = text[text.index("## Pareto fronts") :]
    assert row(fronts, "cnn")[2:] == ["**100%**"] * 3  # both cost the same
    assert row(fronts, "mlp")[2:] == ["0%"] * 3


def test_one_table_shows_how_the_ranking_changes_with_the_budget(machine: Path) -> None:
    put_runs(machine, {"cnn": 93.0, "mlp": 90.0, "lstm": 89.0}, budget="epochs:5")
    put_runs(machine, {"cnn": 87.0, "mlp": 91.0}, budget="seconds:5")
    text = page(machine)
    table = text[text.index("## The ranking by budget") :]
    assert row(table, "model")[1:] == ["epochs:5", "seconds:5"]
    first, second = row(table, "cnn")[1:], row(table, "mlp")[1:]
    assert first[0].startswith("1. 9") and first[1].startswith("2. 8")
    assert second[0].startswith("2. ") and second[1].startswith("1. ")
    assert first[0].endswith(" a") and second[0].endswith(" b")
    assert "## The ranking by budget" not in page_of_one_budget(machine.parent / "other")


def test_runs_of_another_kind_do_not_hide_the_ranking_by_budget(machine: Path) -> None:
    """A table's labels say what varies in it alone, and not every budget was given to the same rows."""
    models = {"cnn": 93.0, "mlp": 90.0}
    put_runs(machine, models, budget="epochs:5")
    put_runs(machine, models, budget="epochs:1", precision="bf16")
    put_runs(machine, models, budget="epochs:1", precision="fp32")
    put_runs(machine, {"cnn": 87.0, "mlp": 91.0}, budget="flops:2e12")
    put_runs(machine, {"mlp": 70.0}, budget="flops:2e12", lr=0.5)
    text = page(machine)
    table = text[text.index("## The ranking by budget") :]
    assert row(table, "model")[1:] == ["epochs:5", "flops:2e12"]
    assert row(table, "cnn")[1].startswith("1. 9") and row(table, "cnn")[2].startswith("2. 8")
    assert row(table, "mlp")[1].startswith("2. ") and row(table, "mlp")[2].startswith("1. ")


def page_of_one_budget(machine: Path) -> str:
    put_runs(machine, {"cnn": 93.0, "mlp": 90.0}, num_seeds=1)
    return page(machine)


def test_published_results_stand_apart_with_what_is_known_against_them(machine: Path) -> None:
    results = published_results()
    assert len(results) > 20 and all(50 < result.top1_pct < 100 for result in results)
    put_runs(machine, {"cnn": 92.5, "resnet_like": 94.0}, num_seeds=2)
    text = page(machine)
    before, _, table = text.partition("# Published results\n\n[Back")
    assert "WRN-28-10" not in before
    wide = row(table, "WRN-28-10 + random erasing")
    assert wide[5] == "old data release: other images than used here; best epoch selected on the test set"
    assert row(table, "VGG8b")[-1].startswith("cnn: 92.") and row(table, "VGG8b")[-1].endswith("(epochs:5, 2 seeds)")
    assert row(table, "DeepCaps")[-1] == "—"


def test_other_datasets_have_no_published_table() -> None:
    config: Config = make_config(dataset="kmnist")
    assert published_text(sections([make_record(config)])) == []


PUBLISHED = files("benchmarks.report").joinpath("published.csv").read_text(encoding="utf-8")


@given(data=st.data())
def test_a_published_table_is_read_or_its_line_is_named(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(PUBLISHED) - 1))
    change = data.draw(st.text(max_size=3))
    text = PUBLISHED[:at] + change + PUBLISHED[at + data.draw(st.integers(0, 40)) :]
    try:
        results = parse_published(text)
    except ValueError as error:
        reason = str(error)
    else:
        reason = ""
        assert all(0 < result.top1_pct <= 100 and result.remarks is not None for result in results)
    assert not reason or reason.startswith("published.csv, near line ")


@pytest.mark.parametrize(
    "line", ["mlp,x,nan,,,,,", "mlp,x,101,,none,unknown,final,y", "mlp,x", "mlp,x,90,,none,new,,y", 'mlp,"x']
)
def test_a_line_of_a_published_table_that_makes_no_sense_is_named(line: str) -> None:
    header = PUBLISHED.splitlines()[0]
    with pytest.raises(ValueError, match=r"published\.csv, near line [12]"):
        parse_published(f"{header}\n{line}\n")
