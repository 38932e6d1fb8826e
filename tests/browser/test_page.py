"""The page as people use it: with a mouse, with a keyboard, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.report.__main__ import report
from fmnist_zoo.data import Dataset
from tests.benchmarks.sample_records import make_config, make_record, write_records
from tests.browser.sample import HOSTILE, NUM_WRONG, class_index, predicted
from tests.browser.screenshot import screenshot

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

Open = Callable[..., Any]


def first_cells(page: Page) -> list[str]:
    """The row headers of the table that is shown, of the rows that are."""
    return page.locator("#tables [role=tabpanel]:visible tbody tr:visible th").all_inner_texts()


def drawn(page: Page, part: str) -> list[str]:
    """The names of what a plot shows."""
    return page.evaluate("part => document.querySelector(`#${part} .chart`).data.map(one => one.name)", part)


def trace(page: Page, part: str, name: str) -> Any:
    """What a plot shows by one name."""
    script = "([part, name]) => document.querySelector(`#${part} .chart`).data.find(one => one.name === name)"
    return page.evaluate(script, [part, name])


CROSSED = """() => {
  const line = document.querySelector("#points .scatterlayer .js-line");
  const toScreen = line.getScreenCTM();
  const along = (at) => line.getPointAtLength((line.getTotalLength() * at) / 499).matrixTransform(toScreen);
  const places = Array.from({ length: 500 }, (_, at) => along(at));
  const isOn = (box) => places.some(({ x, y }) => box.left < x && x < box.right && box.top < y && y < box.bottom);
  const labels = [...document.querySelectorAll("#points .annotation-text")];
  const crossed = labels.filter((label) => isOn(label.getBoundingClientRect()));
  return [labels.length, crossed.map((label) => label.textContent)];
}"""
"""How many labels stand in the plot of points, and those that the line of the front runs through."""


def cell(page: Page, truth: str, taken_for: str) -> Locator:
    name = f"{truth} classified correctly" if truth == taken_for else f"{truth} taken for {taken_for}"
    return page.locator(f"#confusion button[aria-label$=': {name}']")


def test_a_click_on_a_header_sorts_and_another_one_turns_it_round(page: Page) -> None:
    assert first_cells(page) == ["cnn", "lstm", "mlp"]
    header = page.locator("#tables [role=tabpanel]:visible th", has_text="train, s")
    assert header.get_attribute("aria-sort") is None
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert first_cells(page) == ["cnn", "lstm", "mlp"]
    header.get_by_role("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert first_cells(page) == ["mlp", "lstm", "cnn"]
    page.locator("#tables [role=tabpanel]:visible th", has_text="model").get_by_role("button").click()
    assert first_cells(page) == ["cnn", "lstm", "mlp"]
    assert header.get_attribute("aria-sort") is None


def test_the_filter_leaves_rows_that_have_all_words_in_every_table(page: Page) -> None:
    page.get_by_label("Filter rows").fill("M p")
    assert first_cells(page) == ["mlp"]
    assert page.get_by_text("1 of 3 rows").is_visible()
    page.get_by_role("tab", name="Throughput").click()
    assert first_cells(page) == ["mlp"]
    page.get_by_label("Filter rows").fill("nothing like it")
    assert first_cells(page) == []
    page.get_by_label("Filter rows").fill("")
    assert first_cells(page) == ["cnn", "lstm", "mlp"]


def test_tabs_are_chosen_with_arrow_keys(page: Page) -> None:
    page.get_by_role("tab", name="Accuracy").focus()
    page.keyboard.press("ArrowRight")
    chosen = page.locator("[role=tab][aria-selected=true]")
    assert chosen.inner_text() == "Throughput"
    assert page.evaluate("document.activeElement.textContent") == "Throughput"
    assert page.locator("#tables [role=tabpanel]:visible caption").inner_text().startswith("Throughput: Fashion-MNIST")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert chosen.inner_text() == "Cost"


def test_a_model_that_is_switched_off_leaves_all_plots(page: Page) -> None:
    toggles = page.get_by_role("group", name="Models in the plots")
    assert "mlp" in drawn(page, "points") and "mlp, validation" in drawn(page, "curves")
    toggles.get_by_label("mlp").uncheck()
    assert "mlp" not in drawn(page, "points") and "cnn" in drawn(page, "points")
    assert not [name for name in drawn(page, "curves") if name and name.startswith("mlp")]
    assert "mlp" not in page.locator("#ledger .chart").get_attribute("aria-label")
    toggles.get_by_role("button", name="None").click()
    assert [name for name in drawn(page, "points") if name] == []
    toggles.get_by_role("button", name="All").click()
    assert "mlp" in drawn(page, "points")
    page.get_by_label("show training").uncheck()
    assert {name for name in drawn(page, "curves") if name} == {f"{model}, validation" for model in NUM_WRONG}


def test_a_model_has_its_colour_and_symbol_wherever_it_is(page: Page) -> None:
    def of(part: str, name: str) -> list[str]:
        marker = trace(page, part, name)["marker"]
        return [marker["color"], marker["symbol"]]

    for model, color in (("cnn", "rgb(0, 114, 178)"), ("mlp", "rgb(230, 159, 0)"), ("lstm", "rgb(213, 94, 0)")):
        assert of("points", model)[0] == color
        assert of("points", model) == of("curves", f"{model}, validation")
        swatch = page.locator(".toggles label", has_text=model).locator(".swatch")
        assert swatch.evaluate("mark => getComputedStyle(mark).backgroundColor") == color


def test_curves_are_shown_by_seconds_and_as_loss(page: Page) -> None:
    def line() -> Any:
        found = trace(page, "curves", "cnn, validation")
        return found["x"], found["y"]

    assert line()[0] == [1, 2, 3, 4, 5]
    page.locator("#curves").get_by_label("by", exact=True).select_option("seconds of training")
    assert line()[0] == [4, 8, 12, 16, 20]
    page.locator("#curves").get_by_label("show", exact=True).select_option("loss")
    assert line()[1] == pytest.approx([1.2 / place for place in range(1, 6)], rel=1e-5)
    title = page.locator("#curves .chart").get_attribute("aria-label")
    assert title.startswith("Learning curves, loss by seconds of training, of cnn")


def test_the_accuracy_plot_is_against_what_is_chosen(page: Page) -> None:
    chart = page.locator("#points .chart")
    assert "on the front: cnn, lstm, mlp" in chart.get_attribute("aria-label")
    page.get_by_label("against", exact=True).select_option("training time, s")
    assert chart.get_attribute("aria-label").startswith("Test accuracy against training time, s: 3 rows")
    assert trace(page, "points", "cnn")["x"][0] == pytest.approx(40.0)


def test_no_label_of_a_plot_is_crossed_by_the_line_of_its_front(page: Page) -> None:
    # All nearly as good: the line is flat, where a label would stand by itself.
    page.evaluate("DATA.sets[0].points.forEach((point, at) => (point.top1_pct = 90 - at / 100))")
    costs = page.get_by_label("against", exact=True)
    for cost in costs.locator("option").all_inner_texts():
        costs.select_option(cost)
        assert page.evaluate(CROSSED) == [3, []], cost


OUTSIDE = """() => {
  const chart = document.querySelector("#points .chart"), { left, right } = chart.getBoundingClientRect();
  const labels = [...document.querySelectorAll("#points .annotation-text")];
  const leaves = (box) => box.left < left + chart._fullLayout._size.l - 2 || box.right > right;
  const outside = labels.filter((label) => leaves(label.getBoundingClientRect()));
  return [labels.length, outside.map((label) => label.textContent)];
}"""
"""How many labels stand in the plot of points, and those that leave it."""


def test_long_labels_are_cut_where_they_would_leave_the_plot_and_grow_with_it(open_page: Open) -> None:
    page = open_page(width=375)
    page.get_by_label("Comparable runs").select_option(value="1")
    label = page.locator("#points .annotation-text").first
    assert page.evaluate(OUTSIDE) == [1, []]
    on_a_phone = label.text_content()
    assert on_a_phone.endswith("…")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.wait_for_function(
        "text => document.querySelector('#points .annotation-text').textContent !== text", arg=on_a_phone
    )
    assert page.evaluate(OUTSIDE) == [1, []] and len(label.text_content()) > len(on_a_phone)


def test_a_set_of_one_model_is_not_drawn_as_its_best_row_alone(page: Page) -> None:
    page.evaluate(
        """() => {
          const [row] = DATA.sets[0].rows, [point] = DATA.sets[0].points;
          DATA.sets[0].rows = Array.from({ length: 12 }, (_, at) => ({ ...row, label: `cnn lr=${at}` }));
          DATA.sets[0].points = Array.from({ length: 12 }, () => point);
          pageState.shown = firstShown(DATA.sets[0]);
          renderPoints(DATA.sets[0], (at) => pageState.shown.has(at));
        }"""
    )
    assert [name for name in drawn(page, "points") if name] == [f"cnn lr={place}" for place in range(8)]


def test_a_cell_shows_its_images(page: Page, fashion_mnist: Dataset) -> None:
    labels = fashion_mnist.test.labels.numpy()
    truth, taken_for = class_index("Coat"), class_index("Sandal")
    runs = np.stack([predicted("cnn", seed, labels) for seed in range(3)])
    counts = ((runs == taken_for) & (labels == truth)).sum(0)
    wrong = np.flatnonzero(counts)
    button = cell(page, "Coat", "Sandal")
    assert button.inner_text() == f"{counts.sum()}"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    panel = page.get_by_role("region", name="Images of the chosen cell")
    assert panel.get_by_role("heading").inner_text() == "Coat taken for Sandal"
    assert f"{counts.sum()} times in 3 runs. {len(wrong)} test images." in panel.inner_text()
    panel.get_by_role("button", name="more").click()
    names = [one.get_attribute("aria-label") for one in panel.get_by_role("img").all()]
    assert sorted(names) == sorted(f"Test image {image}: Coat taken for Sandal" for image in wrong)
    first = int(names[0].split()[2].rstrip(":"))
    assert panel.get_by_role("listitem").first.inner_text().splitlines()[:2] == [f"#{first}", "3 of 3 runs"]
    pixels = panel.locator("canvas").first.evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, at) => at % 4 === 0)"
    )
    shown = 255 - np.array(pixels).reshape(28, 28)
    assert np.array_equal(shown, fashion_mnist.test.images[first, 0].numpy())


def test_a_cell_of_the_diagonal_shows_images_that_are_right(page: Page, fashion_mnist: Dataset) -> None:
    cell(page, "Bag", "Bag").click()
    panel = page.get_by_role("region", name="Images of the chosen cell")
    images = [int(name.split()[2].rstrip(":")) for name in labels_of(panel)]
    assert len(images) >= 4
    assert all(image >= 710 and fashion_mnist.test.labels[image] == class_index("Bag") for image in images)


def labels_of(panel: Locator) -> list[str]:
    return [one.get_attribute("aria-label") for one in panel.get_by_role("img").all()]


def test_the_matrix_is_walked_with_the_keyboard(page: Page) -> None:
    page.locator("#confusion .matrix button[tabindex='0']").focus()
    start = page.evaluate("document.activeElement.getAttribute('aria-label')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    there = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert there != start
    panel = page.get_by_role("region", name="Images of the chosen cell")
    assert panel.get_by_role("heading").inner_text() == start.partition(": ")[2]  # moving alone chooses nothing
    page.keyboard.press("Enter")
    assert panel.get_by_role("heading").inner_text() == there.partition(": ")[2]
    assert page.locator("#confusion .matrix button[tabindex='0']").count() == 1


def test_another_model_has_another_matrix(page: Page) -> None:
    before = cell(page, "Coat", "Sandal").inner_text()
    page.locator("#confusion").get_by_label("Model").select_option("mlp")
    assert int(cell(page, "Coat", "Sandal").inner_text()) > int(before)
    assert page.locator("#confusion caption").inner_text() == "mlp: summed over 3 seeds"


def test_the_first_tab_stop_skips_to_the_results(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_all_that_can_be_used_is_reached_with_tab_and_seen_to_be(page: Page) -> None:
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        name = page.evaluate("document.activeElement.textContent.slice(0, 20) || document.activeElement.id")
        if page.evaluate("document.activeElement === document.body"):
            break
        assert outline != "none", name
        seen.append(page.evaluate("document.activeElement.closest('section')?.id ?? 'top'"))
    order = list(dict.fromkeys(seen))
    assert order == ["top", "plots", "tables", "confusion", "mistakes", "ledger", "compare", "environment"]


def test_mistakes_of_all_are_shown_by_class(page: Page, fashion_mnist: Dataset) -> None:
    labels = fashion_mnist.test.labels.numpy()
    part = page.locator("#mistakes")
    assert "700 of 10,000 test images (7.00%)" in part.inner_text()
    part.get_by_label("True class").select_option("Dress")
    first = part.locator(".card").first
    names = labels_of(first)
    assert names and all("labelled Dress; runs say" in name for name in names)
    assert all(labels[int(name.split()[2].rstrip(","))] == class_index("Dress") for name in names)


def test_two_machines_are_compared(page: Page) -> None:
    part = page.locator("#compare")
    sweep = page.evaluate("DATA.sweeps.findIndex(one => one.machine === 1)")
    part.get_by_label("B", exact=True).select_option(value=str(sweep))
    cells = part.locator("tbody tr", has_text="cnn").locator("td").all_inner_texts()
    headers = part.locator("thead th").all_inner_texts()[1:]
    row = dict(zip(headers, cells, strict=True))
    assert row["B \N{MINUS SIGN} A, points"] == "+0.00"
    assert row["training A, img/s"] == "5,000" and row["training B, img/s"] == "10,000"
    assert row["training B / A"] == "2.00" and row["95% intervals"] == "overlap"


def test_another_set_of_another_machine_is_shown_whole(page: Page) -> None:
    page.get_by_label("Comparable runs").select_option(value="2")
    assert "processor second" in page.locator("#machine-line").inner_text()
    assert "processor second" in page.locator("#environment").inner_text()
    assert trace(page, "points", "cnn")["x"] == [10_000]


def test_text_of_records_is_never_markup(page: Page) -> None:
    page.get_by_label("Comparable runs").select_option(value="1")
    assert page.locator("img").count() == 0
    assert first_cells(page)[0] == HOSTILE
    label = page.locator("#points .annotation-text").first
    assert HOSTILE.startswith(label.text_content()[:20])
    page.get_by_text("Runs that did not end well (1)").click()
    assert f"seed 0: failed. {HOSTILE}" in page.locator("#tables").inner_text()
    assert HOSTILE in page.locator("#environment pre").inner_text()
    page.locator("#points .scatterlayer .points path").first.hover(force=True)
    page.wait_for_selector("#points .hovertext")
    assert "<img src=x" in page.locator("#points .hovertext").text_content()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_is_wrong_by_axe_core(open_page: Open, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(width=width, color_scheme=scheme, reduced_motion="reduce")
    for place in ("0", "1"):
        page.get_by_label("Comparable runs").select_option(value=place)
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        found = Axe().run(page, options={"resultTypes": ["violations"]})
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_scrolls_tables_and_not_the_page(open_page: Open) -> None:
    page = open_page(width=375, has_touch=True, is_mobile=True)
    table = page.locator("#tables [role=tabpanel]:visible .scroll")
    assert table.evaluate("box => box.scrollWidth > box.clientWidth && box.tabIndex === 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert page.evaluate("visualViewport.scale") == 1


def test_on_a_phone_long_names_leave_room_for_their_numbers(open_page: Open) -> None:
    page = open_page(width=375)
    page.get_by_label("Comparable runs").select_option(value="1")
    room = """table => {
      const name = table.querySelector("tbody th").getBoundingClientRect().width;
      return name / table.closest(".scroll").clientWidth;
    }"""
    for table in page.locator("#tables [role=tabpanel]:visible table, #compare table").all():
        assert table.evaluate(room) < 0.5


def test_a_change_to_dark_is_followed(page: Page) -> None:
    def colors() -> list[str]:
        frames = "await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        text = "document.querySelector('#points .chart').layout.font.color"
        background = "getComputedStyle(document.body).backgroundColor"
        return page.evaluate(f"async () => {{{frames}; return [{background}, {text}]}}")

    assert colors() == ["rgb(255, 255, 255)", "#1f2328"]
    page.emulate_media(color_scheme="dark")
    assert colors() == ["rgb(13, 17, 23)", "#e6edf3"]


def test_without_predictions_the_page_says_so(open_page: Open, tmp_path: Path) -> None:
    write_records(tmp_path / "machine", make_record(make_config("cnn")))
    assert report(tmp_path, html=True) == 0
    page = open_page(tmp_path / "index.html")
    sentence = "not available (1 of 1 runs: no predictions saved)"
    assert sentence in page.locator("#mistakes").inner_text()
    assert sentence in page.locator("#confusion").inner_text()
    assert "nothing to compare it with" in page.locator("#compare").inner_text()
    assert first_cells(page) == ["cnn"]


def test_a_failed_run_alone_has_a_page(open_page: Open, tmp_path: Path) -> None:
    write_records(tmp_path / "machine", make_record(top1_pct=None, status="oom", error="out of memory"))
    assert report(tmp_path, html=True) == 0
    page = open_page(tmp_path / "index.html")
    assert first_cells(page) == ["mlp"]
    page.get_by_text("Runs that did not end well (1)").click()
    assert "seed 0: oom. out of memory" in page.locator("#tables").inner_text()


def test_a_picture_of_the_page_is_taken_by_a_command(
    page_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert screenshot(tmp_path / "no.html", tmp_path / "no.png") == 2
    assert "python -m benchmarks.report DIR --html" in capsys.readouterr().err
