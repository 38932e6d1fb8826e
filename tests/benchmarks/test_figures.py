"""Figures: deterministic bytes, no label over another, colours that stay, and names that nobody expected."""

import io
import random
import re
import sys
import warnings
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox
from PIL import Image

from benchmarks.report.answers import Answers
from benchmarks.report.figures.label_placement import Box, LabelArea, around
from benchmarks.report.figures.roofline import Point, Roofs, roofline_figure, roofline_points, roofline_roofs
from benchmarks.report.figures.sections import section_sketches
from benchmarks.report.figures.style import Sketch, row_looks
from benchmarks.report.findings import section_findings
from benchmarks.report.frames import SectionFrames, section_frames
from benchmarks.report.rows import sections
from benchmarks.report.text import file_name
from fmnist_zoo.plotting.style import (
    _OTHERS,
    COLORS,
    OTHER_COLORS,
    drawable,
    looks,
    model_color,
    model_look,
    new_figure,
    saved,
)
from tests.benchmarks.figure_texts import clashes
from tests.benchmarks.sample_records import make_config, make_cost, make_record, make_roofline

ROOFS = Roofs(gemm_tflop_per_s={"fp32": 0.21, "bf16": 0.42}, copy_gb_per_s=40.5)
HOSTILE = "timm/$x^{<b>&\\frac \udc80 \u9f99"


def point(label: str = "mlp", **changes: Any) -> Point:
    values: dict[str, Any] = {"model": "mlp", "gemm": "bf16", "flop_per_byte": 20.0, "tflop_per_s": 0.1, **changes}
    return Point(label=label, **values)


def part(*models: str, **fields: Any) -> SectionFrames:
    (section,) = sections([make_record(make_config(model), **fields) for model in models])
    return section_frames(section)


def sketches(frames: SectionFrames) -> dict[str, Sketch]:
    """The figures of a main section by their names, not yet drawn."""
    found = section_findings(frames.section, Answers()).frames
    models = {row.config["model"] for row in frames.section.rows}
    return {sketch.name: sketch for sketch in section_sketches(frames, found, "so and so", new_models=models)}


def roofline_files(frames: SectionFrames) -> dict[str, bytes]:
    with looks():
        return saved(sketches(frames)["roofline-training"].draw(), small=True)


def texts(axes: Axes) -> dict[str, Bbox]:
    """What is written inside the axes, and where."""
    return {text.get_text(): text.get_window_extent() for text in axes.texts}


def check_apart(axes: Axes) -> None:
    """No text lies on another one, on a point or outside the axes."""
    shown, inside = texts(axes), axes.get_window_extent()
    boxes = list(shown.values())
    for index, box in enumerate(boxes):
        assert inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0 and box.y1 <= inside.y1
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
    for line in axes.lines:
        if line.get_marker() not in ("None", None, ""):
            (place,) = axes.transData.transform(line.get_xydata())
            assert not any(box.contains(*place) for box in boxes)


def test_a_section_has_its_roofline_as_svg_and_png() -> None:
    sketch = sketches(part("mlp", "cnn"))["roofline-training"]
    assert (sketch.kind, sketch.alt) == ("roofline", "Roofline of training: so and so")
    files = roofline_files(part("mlp", "cnn"))
    assert files["png"].startswith(b"\x89PNG") and set(files) == {"svg", "png"}
    root = ET.fromstring(files["svg"])
    assert root.tag.endswith("svg")


def test_points_and_roofs_are_those_of_the_records() -> None:
    frames = part("mlp")
    (found,) = roofline_points(frames)
    assert (found.label, found.model, found.gemm) == ("mlp", "mlp", "bf16")
    assert (found.flop_per_byte, found.tflop_per_s) == pytest.approx((8.0, 41234.5 * 1.5e6 / 1e12))
    # fp32 was measured, too, but no row used it
    assert roofline_roofs(frames) == Roofs(gemm_tflop_per_s={"bf16": 0.42}, copy_gb_per_s=40.5)


@pytest.mark.parametrize(
    "fields",
    [{"cost": None}, {"cost": make_cost(step_mb=None)}, {"throughput": None}, {"roofline": None}, {"execution": None},
     {"roofline": make_roofline(copy_gb_per_s=None)}, {"roofline": make_roofline(fp32=None)}],
    ids=str,
)  # fmt: skip
def test_without_what_it_shows_there_is_no_figure(fields: dict[str, Any]) -> None:
    assert "roofline-training" not in sketches(part("mlp", **fields))


@pytest.mark.parametrize("value", [0.0, -1.0, 5e-324, 1e308, 2**62])
@pytest.mark.parametrize("name", ["training_gflops", "copy_gb_per_s", "fp32", "train_img_per_s"])
def test_numbers_that_nobody_measured_are_not_drawn(name: str, value: float) -> None:
    record = make_record()
    assert record.cost and record.roofline and record.throughput
    for holder in (record.cost, record.roofline, record.roofline["gemm_tflop_per_s"], record.throughput):
        if name in holder:
            holder[name] = value  # type: ignore[literal-required]
    frames = [section_frames(section) for section in sections([record, make_record(make_config("cnn"))])]
    with looks():
        sketches(frames[0])["roofline-training"].draw()


def test_the_same_points_give_the_same_bytes_whatever_somebody_has_set() -> None:
    frames = part("mlp", "cnn", "lstm")
    before = roofline_files(frames)
    with mpl.rc_context({"font.size": 20.0, "lines.linewidth": 9.0, "svg.fonttype": "none", "axes.facecolor": "red"}):
        assert roofline_files(frames) == before
    assert b"<dc:date>" not in before["svg"] and b"Matplotlib" not in before["png"]


def test_drawing_leaves_settings_and_pyplot_alone() -> None:
    before = dict(mpl.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    roofline_files(part("mlp"))
    assert dict(mpl.rcParams) == before and ("matplotlib.pyplot" in sys.modules) == loaded


def test_axes_are_logarithmic_and_have_units() -> None:
    with looks():
        (axes,) = roofline_figure([point()], ROOFS, "title").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert "FLOP/byte" in axes.get_xlabel() and "TFLOP/s" in axes.get_ylabel()


def test_each_roof_is_a_line_with_its_name() -> None:
    with looks():
        (axes,) = roofline_figure([point()], ROOFS, "title").axes
    written = "; ".join(texts(axes))
    assert "fp32 GEMM: 0.21 TFLOP/s" in written and "bf16 GEMM: 0.42 TFLOP/s" in written
    assert "copy: 40.5 GB/s" in written
    ends = [tuple(path[0]) for line in axes.lines if len(path := np.asarray(line.get_xydata())) == 2]
    assert any(end == pytest.approx((0.21e3 / 40.5, 0.21)) for end in ends)  # a format's roof begins at its ridge


@pytest.mark.parametrize("seed", range(4))
def test_many_labels_lie_neither_on_each_other_nor_on_points(seed: int) -> None:
    draw = random.Random(seed)
    names = [f"{model} {precision}" for model in COLORS for precision in ("fp32 eager", "bf16 eager", "bf16 compile")]
    points = [
        point(
            name,
            model=name.split(" ", 1)[0],
            flop_per_byte=10 ** draw.uniform(1, 2),
            tflop_per_s=10 ** draw.uniform(-1.5, -0.5),
        )
        for name in names
    ]
    with looks():
        (axes,) = roofline_figure(points, ROOFS, "title").axes
        assert set(names) <= set(texts(axes))
        check_apart(axes)


def test_points_in_one_place_still_have_their_labels() -> None:
    with looks():
        (axes,) = roofline_figure([point(f"mlp lr={index}") for index in range(12)], ROOFS, "title").axes
        assert len(texts(axes)) == 12 + 3
        check_apart(axes)


def test_where_there_is_no_room_a_label_is_left_out() -> None:
    with looks():
        names = [f"number {index} of names as long as a figure has any" for index in range(15)]
        (axes,) = roofline_figure([point(name) for name in names], ROOFS, "").axes
        assert 0 < len(set(names) & set(texts(axes))) < 15
        check_apart(axes)


def test_very_many_points_have_a_legend_of_their_models_and_no_labels() -> None:
    with looks():
        points = [point(f"{model} lr={rate}", model=model) for rate in range(50) for model in ("mlp", "cnn")]
        figure = roofline_figure(points, ROOFS, "")
        figure.draw_without_rendering()
    assert len(texts(figure.axes[0])) == 3  # the roofs
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["cnn", "mlp"]
    assert clashes(figure) == []


def test_names_are_shown_as_they_are_and_what_the_font_lacks_as_a_question_mark() -> None:
    assert drawable("a $b$\n c") == "a $b$ c"
    assert drawable("\u9f99 \udc80") == "? ?"
    assert drawable("word " * 30, 12) == "word word w…"
    with looks(), warnings.catch_warnings():
        warnings.simplefilter("error")
        saved(roofline_figure([point(HOSTILE, model=HOSTILE)], ROOFS, HOSTILE))


def test_a_model_keeps_its_colour_and_marker_whatever_stands_beside_it() -> None:
    assert len({model_color(name) for name in COLORS}) == 5
    assert model_color("gru") == model_color("gru") and model_color("gru") not in COLORS.values()
    assert len({model_look(name) for name in (*COLORS, *_OTHERS)}) == len(COLORS) + len(_OTHERS)
    assert model_color("timm/\udc80") in OTHER_COLORS
    rows = {"cnn": "cnn", "gru fp32": "gru", "gru bf16": "gru", "timm/x": "timm/x"}
    alone = row_looks({"gru fp32": "gru", "gru bf16": "gru"})
    for order in (rows, dict(reversed(rows.items()))):
        found = row_looks(order)
        assert {label: found[label] for label in alone} == alone
        assert len({look.line for label, look in found.items() if "gru" in label}) == 2


def test_a_small_file_has_the_colours_of_the_large_one() -> None:
    with looks():
        figure, axes = new_figure(6.0, 4.0)
        for place, color in enumerate((*COLORS.values(), *OTHER_COLORS)):
            axes.plot([0, 1], [place, place + 1], "o-", color=color, markersize=3)
        axes.pcolormesh([[x * y / 100 for x in range(20)] for y in range(20)], cmap="viridis", alpha=0.3)
        large, small = saved(figure), saved(figure, small=True)
    assert len(small["png"]) < 0.6 * len(large["png"]) and len(small["svg"]) < 0.9 * len(large["svg"])
    with Image.open(io.BytesIO(small["png"])) as image:
        seen = np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0).astype(int)
    for color in (*COLORS.values(), *OTHER_COLORS):
        wanted = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)])
        assert np.abs(seen - wanted).max(axis=1).min() <= 20, color


@given(st.text(max_size=80), st.text(max_size=80))
def test_names_of_files_are_plain_and_keep_names_apart(one: str, other: str) -> None:
    assert re.fullmatch(r"[0-9A-Za-z_.-]{0,69}", file_name(one))
    assert (file_name(one) == file_name(other)) == (one.encode("utf-8", "replace") == other.encode("utf-8", "replace"))
    assert file_name("tutorial_mlp_256") == "tutorial_mlp_256"


SIZES = st.tuples(st.floats(1, 200), st.floats(1, 40))
SPOTS = st.tuples(st.floats(0, 400), st.floats(0, 300))


@settings(max_examples=50)
@given(st.lists(st.tuples(SPOTS, SIZES), max_size=12))
def test_placed_labels_never_overlap_and_stay_inside(
    labels: list[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    area = Box(0, 0, 400, 300)
    places = LabelArea(area, taken=[around(*spot, 3.0) for spot, _ in labels])
    for spot, size in labels:
        before = list(places.taken)
        box = places.take_nearest(*spot, *size)
        if box is not None:
            assert area.holds(box) and not any(box.overlaps(other) for other in before)
            assert (box.right - box.left, box.top - box.bottom) == pytest.approx(size)


def test_a_label_avoids_lines_where_it_costs_little() -> None:
    places = LabelArea(Box(0, 0, 400, 300), lines=[Box(200, 149, 400, 151)])
    box = places.take_nearest(200, 150, 60, 10)
    assert box is not None and not box.overlaps(places.lines[0])
