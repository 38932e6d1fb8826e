"""Figures: deterministic bytes, no label over another, colours that stay, and names that nobody expected."""

import random
import sys
import warnings
import xml.etree.ElementTree as ET
from typing import Any

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from benchmarks.report.figures import (
    Point,
    Roofs,
    roofline_figure,
    roofline_points,
    roofline_roofs,
    section_figures,
)
from benchmarks.report.frames import SectionFrames, section_frames
from benchmarks.report.placing import Box, Places, around
from benchmarks.report.rows import sections
from benchmarks.report.style import COLORS, drawable, looks, model_color, saved
from tests.benchmarks.sample_records import make_config, make_cost, make_record, make_roofline

ROOFS = Roofs(gemm_tflop_per_s={"fp32": 0.21, "bf16": 0.42}, copy_gb_per_s=40.5)
HOSTILE = "timm/$x^{<b>&\\frac \udc80 \u9f99"


def point(label: str = "mlp", **changes: Any) -> Point:
    values: dict[str, Any] = {"model": "mlp", "gemm": "bf16", "flop_per_byte": 20.0, "tflop_per_s": 0.1, **changes}
    return Point(label=label, **values)


def part(*models: str, **fields: Any) -> SectionFrames:
    (section,) = sections([make_record(make_config(model), **fields) for model in models])
    return section_frames(section)


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
    (drawn,) = section_figures(part("mlp", "cnn"), "so and so")
    assert drawn.name == "roofline-training" and drawn.title == "Roofline of training: so and so"
    assert drawn.files["png"].startswith(b"\x89PNG") and set(drawn.files) == {"svg", "png"}
    root = ET.fromstring(drawn.files["svg"])
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
    assert section_figures(part("mlp", **fields), "") == []


@pytest.mark.parametrize("value", [0.0, -1.0, 5e-324, 1e308, 2**62])
@pytest.mark.parametrize("name", ["training_gflops", "copy_gb_per_s", "fp32", "train_img_per_s"])
def test_numbers_that_nobody_measured_are_not_drawn(name: str, value: float) -> None:
    record = make_record()
    assert record.cost and record.roofline and record.throughput
    for holder in (record.cost, record.roofline, record.roofline["gemm_tflop_per_s"], record.throughput):
        if name in holder:
            holder[name] = value  # type: ignore[literal-required]
    frames = [section_frames(section) for section in sections([record, make_record(make_config("cnn"))])]
    assert section_figures(frames[0], "x")


def test_the_same_points_give_the_same_bytes_whatever_somebody_has_set() -> None:
    frames = part("mlp", "cnn", "lstm")
    before = section_figures(frames, "x")
    with mpl.rc_context({"font.size": 20.0, "lines.linewidth": 9.0, "svg.fonttype": "none", "axes.facecolor": "red"}):
        assert section_figures(frames, "x") == before
    assert b"<dc:date>" not in before[0].files["svg"] and b"Matplotlib" not in before[0].files["png"]


def test_drawing_leaves_settings_and_pyplot_alone() -> None:
    before = dict(mpl.rcParams)
    loaded = "matplotlib.pyplot" in sys.modules
    section_figures(part("mlp"), "x")
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
    assert "fp32 products: 0.21 TFLOP/s" in written and "bf16 products: 0.42 TFLOP/s" in written
    assert "copying: 40.5 GB/s" in written
    ends = [tuple(line.get_xydata()[0]) for line in axes.lines if len(line.get_xydata()) == 2]
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
        (axes,) = roofline_figure([point(f"number {index} of very many") for index in range(150)], ROOFS, "").axes
        assert len(texts(axes)) < 150
        check_apart(axes)


def test_names_are_shown_as_they_are_and_what_the_font_lacks_as_a_question_mark() -> None:
    assert drawable("a $b$\n c") == "a $b$ c"
    assert drawable("\u9f99 \udc80") == "? ?"
    assert drawable("word " * 30, 12) == "word word w…"
    with looks(), warnings.catch_warnings():
        warnings.simplefilter("error")
        saved(roofline_figure([point(HOSTILE, model=HOSTILE)], ROOFS, HOSTILE))


def test_a_model_keeps_its_colour() -> None:
    assert len({model_color(name) for name in COLORS}) == 5
    assert model_color("gru") == model_color("gru") and model_color("gru") not in COLORS.values()
    assert model_color("timm/\udc80")


SIZES = st.tuples(st.floats(1, 200), st.floats(1, 40))
SPOTS = st.tuples(st.floats(0, 400), st.floats(0, 300))


@settings(max_examples=50)
@given(st.lists(st.tuples(SPOTS, SIZES), max_size=12))
def test_placed_labels_never_overlap_and_stay_inside(
    labels: list[tuple[tuple[float, float], tuple[float, float]]],
) -> None:
    area = Box(0, 0, 400, 300)
    places = Places(area, taken=[around(*spot, 3.0) for spot, _ in labels])
    for spot, size in labels:
        before = list(places.taken)
        box = places.take_nearest(*spot, *size)
        if box is not None:
            assert area.holds(box) and not any(box.overlaps(other) for other in before)
            assert (box.right - box.left, box.top - box.bottom) == pytest.approx(size)


def test_a_label_avoids_lines_where_it_costs_little() -> None:
    places = Places(Box(0, 0, 400, 300), lines=[Box(200, 149, 400, 151)])
    box = places.take_nearest(200, 150, 60, 10)
    assert box is not None and not box.overlaps(places.lines[0])
