"""The figures of the committed records: each drawn once, then looked at from several sides."""

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import same_color, to_hex
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.lines import Line2D

from benchmarks.report.arms import arms_frame
from benchmarks.report.figures.ledger import PARTS
from benchmarks.report.history import history_frame
from benchmarks.report.ledger import ledger_frame
from benchmarks.report.speed import swept_rows
from fmnist_zoo.plotting.style import MARKERS, OTHER_MARKERS, model_color, model_look
from tests.benchmarks.figure_texts import clashes, written
from tests.benchmarks.sample_drawings import LETTERS, Drawing, Drawings, draw_all
from tests.benchmarks.sample_records import report_text

RESULTS = Path(__file__).parents[2] / "results"
MOST_BYTES = 50_000
"""Of a file of a figure, on average over those of a machine: a checkout is not to be made of pictures."""
MARKS = {*MARKERS, *OTHER_MARKERS}


@pytest.fixture(scope="module")
def drawings() -> Drawings:
    """Every figure of the committed records of one machine."""
    return draw_all(RESULTS / "amd-epyc-avx512-bf16-2-cores")


def lines(drawing: Drawing, place: int = 0) -> list[Line2D]:
    return list(drawing.figure.axes[place].lines)


def as_errors(container: object) -> ErrorbarContainer:
    assert isinstance(container, ErrorbarContainer)
    return container


def points(line: Line2D) -> list[tuple[float, float]]:
    """Where a line goes, in units of its axes."""
    return [(float(x), float(y)) for x, y in np.asarray(line.get_xydata())]


def test_every_kind_of_figure_is_there(drawings: Drawings) -> None:
    names = {drawing.sketch.name for drawing in drawings.all}
    assert names >= {
        "accuracy", "accuracy-training-time", "accuracy-parameters", "learning-epochs", "learning-seconds",
        "learning-gap", "time-to-accuracy", "ledger", "roofline-training", "batch-sizes", "classes", "reliability",
        "confusion-difference", "confusion-cnn", "precision-and-engine",
    }  # fmt: skip
    assert {drawing.sketch.kind for drawing in drawings.all} == {
        "accuracy", "fronts", "learning", "ledger", "roofline", "batches", "classes", "reliability", "confusion",
        "arms",
    }  # fmt: skip


def test_no_text_lies_on_another_one_or_leaves_the_canvas(drawings: Drawings) -> None:
    found = [f"{drawing.sketch.alt}: {clash}" for drawing in drawings.all for clash in clashes(drawing.figure)]
    assert not found, "\n".join(found)


def test_every_axis_of_numbers_says_what_it_is_and_in_which_unit(drawings: Drawings) -> None:
    units = re.compile(r"%|, s\b|img/s|FLOP/|nats|points|epochs|parameters|, images| class")
    for drawing in drawings.all:
        for axes in drawing.figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                words = axis.get_label_text()
                ticks = [label.get_text() for label in axis.get_majorticklabels()]
                is_numbers = any(re.fullmatch(r"[\d.,\u2212]+[kM]?", text) for text in ticks)
                # upper panels share the axis of the lower ones
                is_shared = axis is axes.xaxis and axes.get_shared_x_axes().get_siblings(axes) != [axes]
                above = drawing.sketch.name.startswith("learning-") and axis is axes.xaxis and not words
                if axes.get_visible() and is_numbers and not is_shared and not above:
                    assert units.search(words), (drawing.sketch.name, words, ticks)


def test_the_same_model_has_the_same_colour_in_every_figure(drawings: Drawings) -> None:
    models = sorted({record.model for record in drawings.records}, key=len, reverse=True)
    checked = 0
    for drawing in drawings.all:
        for legend in drawing.figure.legends:
            for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
                model = next((name for name in models if text.get_text().split(" ")[0] == name), None)
                if isinstance(handle, Line2D) and model:
                    assert handle.get_color() == model_color(model)
                    assert handle.get_marker() == model_look(model).marker
                    checked += 1
    assert checked > 30
    for drawing in drawings.of("accuracy"):
        assert drawing.part is not None
        colors = [line.get_color() for line in lines(drawing) if line.get_marker() in MARKS]
        shown = [row["model"] for row in drawing.part.accuracy if row["test_top1_pct"] is not None]
        assert colors == [model_color(model) for model in shown[: len(colors)]]


def test_text_and_ground_are_far_enough_apart_for_a_light_and_a_dark_page(drawings: Drawings) -> None:
    for drawing in drawings.all:
        assert same_color(drawing.figure.get_facecolor(), "white")  # not transparent
        inside = {id(text) for axes in drawing.figure.axes for text in axes.texts}
        for text in written(drawing.figure):
            if id(text) not in inside or drawing.sketch.kind != "confusion":
                assert contrast(to_hex(text.get_color()), "#ffffff") >= 4.5, text.get_text()


def contrast(first: str, second: str) -> float:
    """By WCAG 2.2, of two colours written as #rrggbb."""

    def luminance(color: str) -> float:
        parts = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_accuracies_and_intervals_are_those_of_the_table(drawings: Drawings) -> None:
    for drawing in drawings.of("accuracy"):
        assert drawing.part is not None
        rows = [row for row in drawing.part.accuracy if row["test_top1_pct"] is not None]
        axes = drawing.figure.axes[0]
        bars = [
            np.asarray(bar.get_segments()[0]) for container in axes.containers for bar in as_errors(container).lines[2]
        ]
        assert len(bars) == len(rows)
        for bar, row in zip(bars, rows, strict=True):
            assert bar[:, 0] == pytest.approx([row["test_top1_low_pct"], row["test_top1_high_pct"]])
        assert [label.get_text() for label in axes.get_yticklabels()] == [row["variant"] for row in rows]
        assert [text.get_text() for text in axes.texts] == [f"{row['test_top1_pct']:.2f} {LETTERS}" for row in rows]


@pytest.mark.parametrize(
    ("name", "cost"), [("accuracy-training-time", "train_s"), ("accuracy-parameters", "num_params")]
)
def test_points_and_front_are_those_of_the_table(drawings: Drawings, name: str, cost: str) -> None:
    for drawing in drawings.of(name):
        rows = [row for row in drawing.frames["fronts.csv"] if row["cost"] == cost]
        axes = drawing.figure.axes[0]
        shown = [points(line)[0] for line in axes.lines if line.get_marker() in MARKS]
        assert shown == [(row["mean_cost"], row["test_top1_pct"]) for row in rows]
        front = next(points(line) for line in axes.lines if line.get_linestyle() == "--")
        for row in rows:
            on_it = (row["mean_cost"], row["test_top1_pct"]) in front
            assert on_it == (row["on_front"] == "yes"), row["variant"]
        assert axes.get_xscale() == "log"
        named = {text.get_text() for text in axes.texts}
        assert {row["variant"] for row in rows if row["on_front"] == "yes"} <= named


@pytest.mark.parametrize(("name", "x"), [("learning-epochs", "epoch"), ("learning-seconds", "elapsed_s")])
def test_learning_curves_are_those_of_the_history(drawings: Drawings, name: str, x: str) -> None:
    for drawing in drawings.of(name):
        assert drawing.part is not None
        frame = history_frame(drawing.part.section)
        labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
        validated = any(row["val_loss"] is not None for row in frame)
        values = (
            ["train_loss", "val_loss", "train_top1_pct", "val_top1_pct"]
            if validated
            else ["train_loss", "train_top1_pct"]
        )
        for place, value in enumerate(values):
            for label, line in zip(labels, lines(drawing, place), strict=True):
                own = [row for row in frame if row["variant"] == label]
                assert points(line) == [(row[x], row[value]) for row in own]


def test_bands_reach_from_the_lowest_to_the_highest_seed(drawings: Drawings) -> None:
    drawing = next(drawing for drawing in drawings.of("learning-seconds") if drawing.figure.axes[0].collections)
    assert drawing.part is not None
    row = next(row for row in drawing.part.section.rows if len(row.ok) > 1)
    (first,) = [entry for entry in history_frame(drawing.part.section)
                if entry["variant"] == row.label and entry["epoch"] == 1]  # fmt: skip
    losses = [float(record.history[0]["train_loss"] or 0.0) for record in row.ok]
    assert (first["train_loss_low"], first["train_loss_high"]) == (min(losses), max(losses))
    band = np.asarray(drawing.figure.axes[0].collections[0].get_paths()[0].vertices)
    assert any(vertex == pytest.approx([first["elapsed_s"], min(losses)]) for vertex in band)
    assert any(vertex == pytest.approx([first["elapsed_s"], max(losses)]) for vertex in band)


def test_the_gap_is_training_minus_validation(drawings: Drawings) -> None:
    (drawing,) = drawings.of("learning-gap")
    assert drawing.part is not None
    row = drawing.part.section.rows[0]
    zero, best, *_ = lines(drawing, 1)
    gaps = [[epoch["train_top1_pct"] - epoch["val_top1_pct"] for epoch in run.history] for run in row.ok]  # type: ignore[operator]
    expected = np.mean(gaps, axis=0)
    assert {y for _, y in points(zero)} == {0} and [y for _, y in points(best)] == pytest.approx(expected)


def test_times_to_accuracy_are_those_of_the_table_and_a_miss_is_an_arrow(drawings: Drawings) -> None:
    (drawing,) = drawings.of("time-to-accuracy")
    table = drawing.frames["time_to_accuracy.csv"]
    reached: list[tuple[float, float]] = []
    missed: list[tuple[float, float]] = []
    for line in lines(drawing):
        if line.get_marker() == ">" and same_color(line.get_color(), "white"):
            missed += points(line)
        elif line.get_linestyle() != ":" or line.get_marker() not in ("None", ""):
            reached += points(line)
    expected = [(row["median_train_s"], row["target_val_top1_pct"]) for row in table if row["median_train_s"]]
    assert sorted(reached) == sorted(expected)
    bounds = {(row["more_than_train_s"], row["target_val_top1_pct"]) for row in table if not row["median_train_s"]}
    latest = max(seconds for seconds, _ in reached)
    assert missed
    for seconds, target in missed:
        assert any(target == other and bound <= seconds <= max(bound, latest) for bound, other in bounds)
    assert "not reached" in drawing.figure.legends[0].get_texts()[-1].get_text()


def test_parts_of_the_ledger_add_up_to_the_wall_time(drawings: Drawings) -> None:
    for drawing in drawings.of("ledger"):
        assert drawing.part is not None
        rows = ledger_frame(drawing.part.section)
        axes = drawing.figure.axes[0]
        bars = [container for container in axes.containers if isinstance(container, BarContainer)]
        assert [container.get_label() for container in bars] == list(PARTS)
        for place, row in enumerate(rows):
            widths = [container.patches[place].get_width() for container in bars]
            assert widths == pytest.approx([row[name] for name in PARTS])
            assert sum(widths) == pytest.approx(row["wall_s"], rel=1e-6)


def test_batch_sizes_and_knees_are_those_of_the_records(drawings: Drawings) -> None:
    for drawing in drawings.of("batch-sizes"):
        assert drawing.part is not None
        sweep = next(iter(swept_rows(drawing.part.section).values()))
        curve, ring, *_ = lines(drawing)
        assert points(curve) == [(point["batch_size"], point["img_per_s"]) for point in sweep["train"]]
        assert [x for x, _ in points(ring)] == [sweep["train_knee"]]


def test_shares_of_a_confusion_matrix_are_those_of_the_table(drawings: Drawings) -> None:
    for drawing in (drawing for drawing in drawings.all if drawing.sketch.name.startswith("confusion-cnn")):
        assert drawing.part is not None
        label = re.findall("Confusion matrix of ([^;]*)", drawing.sketch.alt)[0]
        row = next(row for row in drawing.part.section.rows if row.label == label)
        counts = np.sum([record.metrics["confusion_matrix"] for record in row.ok if record.metrics], axis=0)
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
        (mesh,) = drawing.figure.axes[0].collections
        assert np.asarray(mesh.get_array()) == pytest.approx(shares)
        written_here = [float(text.get_text()) for text in drawing.figure.axes[0].texts]
        assert written_here == pytest.approx(shares[shares > 0].round(1), abs=0.051)
        for text in drawing.figure.axes[0].texts:
            x, y = text.get_position()
            color = to_hex(tuple(mesh.cmap(np.asarray(mesh.norm(shares[int(y), int(x)])))))
            assert contrast(to_hex(text.get_color()), color) >= 4.0


def test_the_difference_is_one_matrix_minus_the_other_and_coloured_for_the_better_one(drawings: Drawings) -> None:
    drawing = drawings.of("confusion-difference")[0]
    assert drawing.part is not None
    first, second = (
        np.mean([run.metrics["confusion_matrix"] for run in row.ok if run.metrics], axis=0)
        for row in drawing.part.section.rows[:2]
    )
    points = (first - second) / 10  # 1,000 images a class
    (mesh,) = drawing.figure.axes[0].collections
    assert np.asarray(mesh.get_array()) == pytest.approx(np.where(np.eye(10, dtype=bool), points, -points))
    shown = {(int(y), int(x)): float(text.get_text()) for text in drawing.figure.axes[0].texts
             for x, y in [text.get_position()]}  # fmt: skip
    assert shown == {
        place: pytest.approx(value, abs=0.051) for place, value in np.ndenumerate(points) if abs(value) >= 0.05
    }


def test_recalls_are_those_of_the_table(drawings: Drawings) -> None:
    for drawing in drawings.of("classes"):
        assert drawing.part is not None
        table = drawing.part.per_class
        labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
        for label, line in zip(labels, lines(drawing)[-len(labels) :], strict=True):
            own = [100 * row["recall"] for row in table if row["variant"] == label]
            assert [x for x, _ in points(line)] == pytest.approx(own)


def test_reliability_is_that_of_the_bins_with_images_enough(drawings: Drawings) -> None:
    for drawing in drawings.of("reliability"):
        table = drawing.frames["reliability.csv"]
        labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
        for label, line in zip(labels, lines(drawing)[1:], strict=True):
            own = [row for row in table if row["variant"] == label and row["num_images"] >= 50]
            assert [y for _, y in points(line)] == pytest.approx([100 * row["accuracy"] for row in own])


def test_arms_are_as_fast_as_their_steps_say(drawings: Drawings) -> None:
    (drawing,) = drawings.of("precision-and-engine")
    table = arms_frame(drawings.comparisons, [])
    for axes, record in zip(drawing.figure.axes, drawings.comparisons, strict=False):
        own = [row for row in table if row["model"] == record.model and row["step_ms"]]
        bars = next(container for container in axes.containers if isinstance(container, BarContainer))
        rates = [1e3 * record.config["recipe"]["batch_size"] / row["step_ms"] for row in own]
        assert [bar.get_width() for bar in bars] == pytest.approx(rates)
        assert {to_hex(bar.get_facecolor()) for bar in bars} <= {model_color(record.model).lower(), "#ffffff"}
        assert [text.get_text().split("x")[0] for text in axes.texts] == [f"{row['speedup']:.2f}" for row in own]


@pytest.mark.parametrize("page", sorted(RESULTS.glob("*/README.md")), ids=lambda path: path.parent.name)
def test_a_committed_page_has_all_its_figures_and_they_are_small(page: Path) -> None:
    shown = set(re.findall(r"\]\((figures/[^)]+)\.svg\)", report_text(page.parent)))
    files = {f"figures/{path.name}" for path in (page.parent / "figures").iterdir()}
    assert shown and files == {f"{name}.{suffix}" for name in shown for suffix in ("svg", "png")}
    assert sum((page.parent / name).stat().st_size for name in files) < MOST_BYTES * len(files)
