"""Which figures a section has, where the page shows them, and what becomes of the files."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report import write_report
from benchmarks.report.__main__ import report
from benchmarks.report.answers import Answers, read_answers
from benchmarks.report.figures.arms import arms_sketch
from benchmarks.report.figures.style import Sketch, best_of_each_model, chosen
from benchmarks.report.figures.targets import targets_figure
from benchmarks.report.figures.write import sketched
from benchmarks.report.findings import page_findings
from benchmarks.report.frames import section_frames
from benchmarks.report.rows import sections
from fmnist_zoo.history import EpochStats
from fmnist_zoo.plotting.style import looks, new_figure
from tests.benchmarks.figure_texts import clashes
from tests.benchmarks.sample_records import make_config, make_record, report_text, write_records
from tests.benchmarks.sample_runs import put_runs
from tests.benchmarks.test_report_arms import EAGER, GOOD, arm, comparison

BEST: dict[str, Any] = {"track": "best", "num_train": 60000, "num_val": 0}
WITHOUT_CURVES = {"accuracy", "accuracy-training-time", "time-to-accuracy", "ledger", "roofline-training", "classes",
                  "confusion-difference", "confusion-cnn", "confusion-mlp"}  # fmt: skip


def epochs(*losses: float, validated: bool = True) -> list[EpochStats]:
    return [
        {
            "epoch": place, "train_loss": loss, "train_top1_pct": 90 - 10 * loss, "lr": 0.1, "elapsed_s": 2.0 * place,
            "val_loss": 2 * loss if validated else None, "val_top1_pct": 90 - 11 * loss if validated else None,
        }
        for place, loss in enumerate(losses, start=1)
    ]  # fmt: skip


def figures(*records: RunRecord, answers: Answers | None = None) -> dict[str, dict[str, Sketch]]:
    """The figures of each section, by the beginning of their files' names and their own."""
    shown = sections(records)
    findings = page_findings(shown, answers or Answers())
    parts = [section_frames(section) for section in shown]
    return {prefix: {sketch.name: sketch for sketch in found} for _, prefix, found in sketched(parts, findings)}


def names(*records: RunRecord) -> set[str]:
    (found,) = figures(*records).values()
    return set(found)


def two(**changes: Any) -> tuple[RunRecord, RunRecord]:
    cnn = make_record(make_config("cnn"), top1_pct=91.0, edit=priced, **changes)
    return make_record(**changes), cnn


def priced(record: RunRecord) -> None:
    """Trained for longer than the other one."""
    record.ledger["train_s"] = 22.5


def test_a_section_has_the_figures_of_what_its_records_hold() -> None:
    assert names(*two()) == WITHOUT_CURVES  # they have one epoch, as many parameters, and no predictions
    assert names(*two(history=epochs(0.9, 0.5))) == WITHOUT_CURVES | {
        "learning-epochs", "learning-seconds", "learning-gap"
    }  # fmt: skip
    without_validation = names(*two(history=epochs(0.9, 0.5, validated=False)))
    assert {"learning-gap", "time-to-accuracy"}.isdisjoint(without_validation)
    assert {"learning-epochs", "learning-seconds"} <= without_validation


def test_one_row_is_not_ranked_and_has_no_difference() -> None:
    found = names(make_record(history=epochs(0.9, 0.5)))
    assert found.isdisjoint({"accuracy", "accuracy-training-time", "accuracy-parameters", "confusion-difference"})
    assert {"learning-epochs", "confusion-mlp", "ledger"} <= found


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"ledger": {**make_record().ledger, "probe_s": None}}, "ledger"),
        ({"history": []}, "time-to-accuracy"),
        ({"history": [{**epochs(0.9)[0], "elapsed_s": None}] * 2}, "learning-seconds"),
        ({"history": [{**epoch, "train_loss": None} for epoch in epochs(0.9, 0.5)]}, "learning-epochs"),
        ({"history": [{**epoch, "train_loss": 1e300} for epoch in epochs(0.9, 0.5)]}, "learning-epochs"),
        ({"ledger": {**make_record().ledger, "wall_s": 1e300}}, "ledger"),
        ({"ledger": {**make_record().ledger, "train_s": -5.0}}, "accuracy-training-time"),
    ],
    ids=str,
)
def test_without_what_it_shows_a_figure_is_left_out(changes: dict[str, Any], lacking: str) -> None:
    found = names(make_record(**changes), make_record(make_config("cnn"), **changes))
    assert lacking not in found and "classes" in found


def test_runs_that_failed_have_no_figures() -> None:
    assert (
        names(make_record(status="oom", top1_pct=None), make_record(make_config("cnn"), status="oom", top1_pct=None))
        == set()
    )


def test_the_main_section_of_a_track_has_all_kinds_and_a_model_one_confusion_matrix() -> None:
    found = figures(
        *two(), *(make_record(make_config(model, budget="epochs:1")) for model in ("mlp", "cnn")),
        *(make_record(make_config(model, **BEST)) for model in ("mlp", "lstm")),
        make_record(make_config(num_train=1000)), make_record(make_config(dataset="mnist")),
    )  # fmt: skip
    assert list(found)[:4] == [
        "equal-epochs-5-55000-",
        *list(found)[1:2],
        "equal-epochs-1-55000-",
        "best-epochs-5-60000-",
    ]
    assert set(found["equal-epochs-1-55000-"]) == {"accuracy"}
    assert {"confusion-mlp", "confusion-cnn"} <= set(found["equal-epochs-5-55000-"])
    best = set(found["best-epochs-5-60000-"])
    assert "classes" in best and "confusion-lstm" in best and "confusion-mlp" not in best
    assert re.fullmatch(r"equal-epochs-5-1000-[0-9a-f]{8}-", list(found)[1])
    assert "mnist-equal-epochs-5-55000-" in found


def test_a_larger_budget_with_fewer_models_is_not_the_main_section() -> None:
    found = figures(*two(), *(make_record(make_config(budget="epochs:9", lr=lr)) for lr in (0.1, 0.2)))
    assert set(found["equal-epochs-9-55000-"]) == {"accuracy"}
    assert set(found["equal-epochs-5-55000-"]) == WITHOUT_CURVES


def test_reliability_is_shown_of_rows_whose_predictions_were_kept(tmp_path: Path) -> None:
    kept = put_runs(tmp_path, {"mlp": 90.0}, num_seeds=2)
    other = make_record(make_config("cnn"))
    answers = read_answers(RecordStore(tmp_path), [*kept, other])
    (found,) = figures(*kept, other, answers=answers).values()
    assert "of rows" not in found["reliability"].alt and found["reliability"].alt.endswith(": mlp")


def test_many_rows_become_the_best_of_each_model_or_the_first() -> None:
    models = {f"mlp {place}": "mlp" for place in range(9)}
    assert chosen(models) == ([f"mlp {place}" for place in range(8)], " (the best 8 of 9 rows)")
    mixed = {**models, "cnn": "cnn"}
    assert (
        chosen(mixed)
        == (["mlp 0", "cnn"], " (the best row of each model)")
        == (best_of_each_model(mixed), chosen(mixed)[1])
    )
    assert chosen({"mlp": "mlp"}) == (["mlp"], "")


def test_many_rows_with_long_names_are_drawn_without_a_clash() -> None:
    records = [
        make_record(
            make_config("timm/mobilenetv3_small_050_and_a_long_tail", lr=place / 1e4), top1_pct=80 + place / 9,
            history=epochs(0.9, 0.5, 0.3), edit=lambda run, place=place: run.ledger.update(train_s=10.0 + place),
        )
        for place in range(1, 45)
    ]  # fmt: skip
    (found,) = figures(*records).values()
    with looks():
        for name in (
            "accuracy",
            "accuracy-training-time",
            "learning-seconds",
            "ledger",
            "confusion-difference",
            "classes",
        ):
            figure = found[name].draw()
            figure.draw_without_rendering()
            assert clashes(figure) == [], name


def clashing() -> Figure:
    figure, axes = new_figure(3.0, 2.0)
    axes.text(0.5, 0.5, "one")
    axes.text(0.5, 0.52, "two")
    axes.text(0.9, 0.1, "far beyond the edge")
    figure.set_layout_engine("none")
    return figure


def test_texts_that_lie_on_each_other_or_leave_the_canvas_are_found() -> None:
    with looks():
        found = clashes(clashing())
    assert "'one' lies on 'two'" in found and "'far beyond the edge' leaves the canvas" in found


def page(folder: Path) -> str:
    return report_text(folder)


def shown(folder: Path) -> set[str]:
    return set(re.findall(r"\]\(figures/([^)]+)\.svg\)", page(folder)))


def test_the_page_shows_what_was_drawn_where_it_belongs(tmp_path: Path) -> None:
    folder = tmp_path / "machine"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "mine.svg").write_text("mine")
    (folder / "figures" / "gone.svg").write_text("of a section that is no more")
    (folder / "README.md").write_text(page_head() + "![x](figures/gone.svg)\n![y](figures/../../secret.svg)\n")
    write_records(folder, *two())
    write_report(tmp_path, "machine", figures=True)
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {"mine.svg"} | {f"{name}.{suffix}" for name in shown(folder) for suffix in ("svg", "png")}
    assert shown(folder) == {f"equal-epochs-5-55000-{name}" for name in WITHOUT_CURVES}
    order = (
        "accuracy", "accuracy-training-time", "ledger", "roofline-training", "time-to-accuracy", "classes",
        "confusion-cnn",
    )  # fmt: skip
    places = [page(folder).index(f"-55000-{name}.svg") for name in order]
    assert places == sorted(places)
    closed = page(folder).partition("## Confusion matrices")[2].partition("\n## ")[0]
    assert (
        closed.count("![Confusion matrix of ") == 2
        and "![Difference of the confusion matrices of cnn and mlp]" in closed
    )
    assert "![Test top-1 in percent with 95% intervals: cnn 91.00, mlp 89.50](" in page(folder)
    assert "Figures are drawn when" not in page(folder)


def page_head() -> str:
    return '<!-- Made from the records by "python -m benchmarks.report": changes made by hand are lost. -->\n'


def test_without_figures_the_page_says_so_and_none_is_drawn(tmp_path: Path) -> None:
    write_records(tmp_path / "machine", *two())
    write_report(tmp_path, "machine", figures=False)
    assert not shown(tmp_path / "machine") and not (tmp_path / "machine" / "figures").exists()
    assert "Figures are drawn at the end of a sweep" in page(tmp_path / "machine")


def test_a_pair_has_its_difference_drawn_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path / "machine", *two())
    path = tmp_path / "pair.svg"
    assert report(tmp_path, pair=("mlp", "cnn"), pair_figure=path) == 0
    assert "pair.svg, of machine: Fashion-MNIST, equal recipe, 5 epochs" in capsys.readouterr().out
    assert b"<!-- mlp minus cnn -->" in path.read_bytes() and not (tmp_path / "machine" / "README.md").exists()
    assert report(tmp_path, pair=("mlp", "cnn"), pair_figure=tmp_path / "pair.jpg") == 2
    assert report(tmp_path, pair_figure=path) == 2
    assert "give a .svg or .png file" in capsys.readouterr().err


def test_arms_that_were_not_timed_are_left_out_and_one_that_fails_parity_says_so() -> None:
    broken = comparison(arm("fp32", "eager", 10.0, samples_step_ms=[], error="out of memory"))
    assert arms_sketch([]) == [] == arms_sketch([broken])
    wrong = arm("bf16", "eager", 5.0, parity={**GOOD, "passed": False})
    (sketch,) = arms_sketch([broken, comparison(EAGER, wrong, arm("fp16", "eager", 1.0, samples_step_ms=[]))])
    with looks():
        figure = sketch.draw()
        figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.00x", "2.00x, fails parity"]
    bars = [bar.get_width() for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
    assert bars == [25_600, 51_200]  # 256 images a step
    assert clashes(figure) == []


def test_an_arrow_of_a_miss_is_never_left_of_a_target_that_was_reached() -> None:
    """Of three seeds two reach the first target, late; the bound of the second, their median end, is earlier."""
    target = {"model": "mlp", "variant": "mlp", "num_runs": 3}
    profile = [
        {**target, "target_val_top1_pct": 90.0, "num_hits": 2, "median_train_s": 61.0, "more_than_train_s": None},
        {**target, "target_val_top1_pct": 92.0, "num_hits": 1, "median_train_s": None, "more_than_train_s": 54.0},
    ]
    with looks():
        (axes,) = targets_figure({"mlp": profile}, "so and so").axes
    arrow = next(line for line in axes.lines if line.get_marker() == ">")
    assert np.asarray(arrow.get_xydata()).tolist() == [[61.0, 92.0]]
    assert [text.get_text() for text in axes.texts] == ["2/3", "1/3"]
