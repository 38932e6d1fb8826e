"""The end of a sweep: what it found, and how sure that is, in every display."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from benchmarks.records.record import RunRecord
from benchmarks.sweep.display import JsonDisplay, LiveDisplay, PlainDisplay, QuietDisplay
from benchmarks.sweep.display.findings import MANY_RUNS, at_chance
from fmnist_zoo.cli.output import plain_console
from tests.benchmarks.sample_records import make_config, make_metrics, make_record
from tests.benchmarks.sample_runs import put_runs
from tests.benchmarks.sample_sweep import make_plan
from tests.benchmarks.test_display_events import events_in

END = {"exit_code": 0, "complete": True}
CONDITIONS = "Fashion-MNIST, equal recipe, 5 epochs, 55,000 training images"
FLAG = {"kind": "few_samples", "evidence": "training has 3 samples", "advice": "Measure again."}


def ending(records: list[RunRecord], machine_dir: Path = Path("results/here"), *, width: int | None = None) -> str:
    """What is said at the end of a sweep that found all of it done before."""
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=width, color_system=None) if width else plain_console(text)
    display = LiveDisplay(console, ticks=False) if width else PlainDisplay(console)
    with display:
        display.sweep_started(make_plan(skipped=tuple(records), machine_dir=machine_dir))
        display.sweep_finished(**END)
    return text.getvalue().partition("\n\n")[2]


def records_of(**top1: float | None) -> list[RunRecord]:
    """A run of each model with its accuracy; failed where that is None."""
    wrong: dict[str, Any] = {"status": "failed", "error": "RuntimeError: it broke; its last lines:\nlog"}
    return [
        make_record(make_config(model), variant=model, top1_pct=value, **({} if value is not None else wrong))
        for model, value in top1.items()
    ]


def test_rows_are_ranked_with_intervals_speed_and_a_verdict(tmp_path: Path) -> None:
    records = put_runs(tmp_path, {"mlp": 86.0, "cnn": 91.0, "vit": 90.95}, num_seeds=3)
    records[0].flags = records[1].flags = [FLAG]  # type: ignore[list-item]
    records[3].flags = [{"kind": "warning", "evidence": "a library is old", "advice": None}]
    assert (
        ending(records, tmp_path)
        == f"""9 of 9 runs ok

Test accuracy, best first ({CONDITIONS}):
      model  test %        group   img/s
  1.  vit    90.92 ± 0.44  a      41,234
  2.  cnn    90.43 ± 0.20  a      41,234
  3.  mlp    85.79 ± 0.85  b      41,234
  img/s is training throughput, rounded to its uncertainty; rows sharing a letter are not significantly different; ± is\
 the 95% interval of the mean over seeds.
  vit is not significantly different from cnn.

Flags (caveats and advice):
  few_samples in 2 of 9 runs: Measure again.
  warning in 1 of 9 runs: a library is old

tables: {tmp_path}/README.md
"""
    )


def test_a_clear_winner_is_called_better(tmp_path: Path) -> None:
    assert "  cnn is significantly better than mlp.\n" in ending(
        put_runs(tmp_path, {"mlp": 80.0, "cnn": 91.0}), tmp_path
    )
    three = put_runs(tmp_path, {"mlp": 80.0, "cnn": 91.0, "vit": 85.0})
    assert "  cnn is significantly better than every other row.\n" in ending(three, tmp_path)


def test_one_seed_each_has_no_verdict_and_its_interval_says_of_what_it_is() -> None:
    said = ending(records_of(mlp=88.0, cnn=91.25))
    assert "  1.  cnn    91.25 [90.68, 91.79]  41,000\n" in said and "group" not in said
    assert "[ ] is the 95% interval over test images, not over seeds" in said
    assert "No verdict from one seed each" in said and "--seeds 3" in said


def test_answers_that_are_missing_leave_no_verdict_and_say_so(tmp_path: Path) -> None:
    records = put_runs(tmp_path, {"mlp": 80.0, "cnn": 91.0})
    said = ending(records, tmp_path / "elsewhere")
    assert "Not all pairs of rows could be compared (6 of 6 runs: test labels are missing" in said


def test_one_row_has_nobody_to_be_compared_with() -> None:
    said = ending(records_of(mlp=88.0))
    assert "  1.  mlp    88.00" in said and "erdict" not in said and "better" not in said


def test_rows_of_other_conditions_have_a_ranking_of_their_own() -> None:
    longer = make_record(make_config("cnn", budget="epochs:20"), variant="cnn", top1_pct=92.0)
    said = ending([*records_of(mlp=88.0), longer])
    assert said.count("Test accuracy, best first") == 2 and said.index("20 epochs") < said.index("5 epochs")
    assert "erdict" not in said and "better" not in said


def test_where_all_failed_there_is_no_ranking() -> None:
    assert (
        ending(records_of(mlp=None, cnn=None))
        == """0 of 2 runs ok
  mlp seed 0: failed: RuntimeError: it broke
  cnn seed 0: failed: RuntimeError: it broke

tables: results/here/README.md
"""
    )


def test_long_lists_say_how_many_more_there_are() -> None:
    good = {f"model{place}": 80.0 + place / 10 for place in range(12)}
    said = ending(records_of(**good, **dict.fromkeys((f"bad{place}" for place in range(13)), None)))
    assert "  10.  model2" in said and "11." not in said and "\n  and 2 more\n" in said
    assert said.count(": failed: ") == 10 and "\n  and 3 more\n" in said


def test_hundreds_of_runs_are_not_compared_once_more(tmp_path: Path) -> None:
    records = [
        make_record(make_config("mlp", lr=lr / 1000), seed=seed, top1_pct=80.0 + lr / 10)
        for lr in range(1, MANY_RUNS // 2 + 2) for seed in (0, 1)
    ]  # fmt: skip
    assert "Too many runs to compare here; see the tables for all pairs." in ending(records, tmp_path)


@pytest.mark.parametrize(
    ("right", "images", "expected"),
    [
        (1000, 10_000, True), (1058, 10_000, True), (1061, 10_000, False), (300, 10_000, True), (15, 100, True),
        (25, 100, False),
    ],
)  # fmt: skip
def test_chance_level_is_what_the_interval_over_test_images_does_not_exclude(
    right: int, images: int, expected: bool
) -> None:
    record = make_record(top1_pct=100 * right / images)
    record.metrics = {**make_metrics(50.0, num_test=images), "test_top1_pct": 100 * right / images}
    assert at_chance(record) is expected


def test_always_naming_a_frequent_class_is_chance_too() -> None:
    record = make_record(top1_pct=60.0)
    assert record.metrics is not None
    record.metrics["confusion_matrix"] = [[6000, 0], [4000, 0]]
    assert at_chance(record)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_end_fits_the_terminal(width: int) -> None:
    models = {f"lstm rows_per_step=2 optimizer=adamw lr=0.00{place}": 10.0 + place for place in range(3)}
    records = records_of(**models, vit=None)
    for record in records[:3]:
        record.config = make_config("lstm", lr=float(record.variant[-5:]), optimizer="adamw")
        record.flags = [{**FLAG, "advice": "Measure again on a quieter machine. " * 4}]  # type: ignore[list-item]
    printed = ending(records, width=width).splitlines()
    assert all(cell_len(line) <= width for line in printed)
    assert any("is at chance level in 1 of 1 runs" in line for line in printed)


def test_quiet_says_which_rows_are_at_chance_level_and_no_ranking() -> None:
    out, errors = io.StringIO(), io.StringIO()
    with QuietDisplay(plain_console(out), plain_console(errors)) as display:
        display.sweep_started(make_plan(skipped=tuple(records_of(mlp=88.0, cnn=10.0))))
        display.sweep_finished(**END)
    assert out.getvalue() == "2 of 2 runs ok\ntables: results/here/README.md\n"
    assert errors.getvalue() == (
        "cnn is at chance level in 1 of 1 runs: not significantly better than always naming one class (10.0%). "
        "Try another --lr or a larger --budget.\n"
    )


def test_json_has_what_the_words_are_made_of(tmp_path: Path) -> None:
    text = io.StringIO()
    records = put_runs(tmp_path, {"mlp": 80.0, "cnn": 91.0})
    records[0].flags = [FLAG]  # type: ignore[list-item]
    with JsonDisplay(text) as display:
        display.sweep_started(make_plan(skipped=tuple(records), machine_dir=tmp_path))
        display.sweep_finished(**END)
    end = events_in(text.getvalue())[-1]
    assert end["flags"] == [{"kind": "few_samples", "num_runs": 1, "text": "Measure again."}]
    (ranking,) = end["rankings"]
    assert (ranking["conditions"], ranking["chance_pct"]) == (CONDITIONS, 10.0)
    assert ranking["verdict"] == "cnn is significantly better than mlp."
    first, second = ranking["rows"]
    assert (first["variant"], first["letters"], second["letters"], first["num_runs_ok"]) == ("cnn", "a", "b", 3)
    assert first["test_top1_low_pct"] < first["test_top1_pct"] < first["test_top1_high_pct"]
    assert json.loads(json.dumps(end)) == end


def test_a_record_that_cannot_be_summed_up_ends_no_sweep() -> None:
    (record,) = records_of(mlp=88.0)
    assert record.metrics is not None
    record.metrics["confusion_matrix"] = []
    text = io.StringIO()
    with PlainDisplay(plain_console(text)) as display:
        display.sweep_started(make_plan(skipped=(record,)))
        display.sweep_finished(**END)
    assert "no summary: " in text.getvalue() and "1 of 1 runs ok" in text.getvalue()


def test_nets_with_recipes_of_their_own_are_no_ranking() -> None:
    records = [
        make_record(make_config(model, track="published"), seed=seed, top1_pct=value)
        for model, value in (("mlp", 88.0), ("cnn", 91.0))
        for seed in (0, 1)
    ]
    assert "this does not rank architectures" in ending(records)
