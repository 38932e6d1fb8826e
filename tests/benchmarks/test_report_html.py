"""The page to explore results: what is in it, that it is safe and the same each time, and what it does without."""

import base64
import hashlib
import io
import json
import re
import sys
import types
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from benchmarks.records.record import RunRecord
from benchmarks.records.store import RecordStore
from benchmarks.report.__main__ import report
from benchmarks.report.files import read_folders
from benchmarks.report.html import page
from benchmarks.report.html.content import SYMBOLS, page_content
from benchmarks.report.html.curves import learning_curves
from benchmarks.report.html.mistakes import PACKED, packed_errors, ranking
from benchmarks.report.html.page import LIMIT_BYTES, embedded, html_page
from benchmarks.report.html.pictures import atlas, read_test_images
from benchmarks.report.mistakes.votes import Voter, Votes
from benchmarks.report.rows import Row
from fmnist_zoo.data import DataError
from fmnist_zoo.plotting.style import MARKERS, OTHER_MARKERS
from tests.benchmarks.sample_records import make_config, make_record, replace_some_part, write_records
from tests.benchmarks.sample_runs import CHECKSUM, put_runs

HOSTILE = "</script><script>alert('\u2028')</script><!-- <img src=x onerror=alert(1)> & \ud800"


class Scripts(HTMLParser):
    """The script elements of a page: their attributes and contents, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append((dict(attrs), ""))
        if tag == "meta" and dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = dict(attrs)["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            attributes, text = self.found.pop()
            self.found.append((attributes, text + data))


@pytest.fixture
def plotly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Plotly that is installed, and small."""
    offline = types.ModuleType("plotly.offline")
    offline.get_plotlyjs = lambda: "var Plotly = {};"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "plotly", types.ModuleType("plotly"))
    monkeypatch.setitem(sys.modules, "plotly.offline", offline)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Two models with three seeds each and their predictions, on a dataset that nobody has."""
    folder = tmp_path / "results" / "machine"
    put_runs(folder, {"cnn": 92.0, "mlp": 89.0})
    return folder


def data_of(content: bytes) -> dict[str, Any]:
    (found,) = [text for attributes, text in Scripts(content.decode()).found if attributes.get("id") == "data"]
    return json.loads(found)


def made(directory: Path, script: str = "var Plotly = {};") -> dict[str, Any]:
    return data_of(html_page(page_content(read_folders(directory)), script))


@pytest.mark.usefixtures("plotly")
def test_the_command_writes_one_page_the_same_each_time(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = machine.parent
    before = set(results.rglob("*"))
    assert report(results, html=True) == 0
    assert set(results.rglob("*")) - before == {results / "index.html"}
    first = (results / "index.html").read_bytes()
    assert f"{results / 'index.html'}: " in capsys.readouterr().out
    assert report(results, html=True) == 0
    assert (results / "index.html").read_bytes() == first
    scripts = Scripts(first.decode())
    assert [attributes.get("id") for attributes, _ in scripts.found] == ["data", None, None]
    for attributes, text in scripts.found[1:]:
        assert not attributes  # nothing is loaded from elsewhere
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in scripts.policy
    assert scripts.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in scripts.policy.split("style-src")[0]
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", first.decode().split('<script type="application/json"')[0])


def test_a_set_has_what_its_table_plot_and_matrix_need(machine: Path) -> None:
    (found,) = made(machine.parent)["sets"]
    assert [row["label"] for row in found["rows"]] == ["cnn", "mlp"]
    assert [(row["color"], row["symbol"]) for row in found["rows"]] == [("#0072B2", "square"), ("#E69F00", "circle")]
    assert [table["name"] for table in found["tables"]] == ["Accuracy", "Throughput", "Cost"]
    accuracy = found["tables"][0]
    titles = [column["title"] for column in accuracy["columns"]]
    assert accuracy["texts"][0][titles.index("params")] == "535,818"
    assert accuracy["keys"][0][titles.index("params")] == 535818
    assert found["points"][0]["train_img_per_s"] == pytest.approx(41234.5)
    costs = ["train_img_per_s", "infer_img_per_s", "train_s", "num_params"]
    assert [point["fronts"] for point in found["points"]] == [costs, []]  # at the same cost the better one alone
    assert np.sum(found["rows"][0]["confusion"]["counts"]) == 30_000
    assert found["gallery"]["num_runs"] == 6
    assert found["failures"] == [] and found["reasons"] == []


@pytest.mark.parametrize("module", ["plotly", "plotly.offline"])
def test_without_plotly_the_command_says_what_to_install(
    module: str, machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert report(machine, html=True) == 2
    assert "pip install 'fmnist-zoo[html]'" in capsys.readouterr().err
    assert not (machine / "index.html").exists()


@pytest.mark.usefixtures("plotly")
def test_a_folder_without_records_or_with_somebody_elses_page_is_refused(
    machine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(tmp_path / "nowhere", html=True) == 2
    assert "holds no readable record" in capsys.readouterr().err
    (machine / "index.html").write_text("<h1>mine</h1>", encoding="utf-8")
    assert report(machine, html=True) == 2
    assert "would be lost" in capsys.readouterr().err
    assert (machine / "index.html").read_text(encoding="utf-8") == "<h1>mine</h1>"


def test_text_of_records_stays_text(tmp_path: Path) -> None:
    record = make_record(make_config(HOSTILE), command=HOSTILE, variant=HOSTILE)
    failed = make_record(make_config("mlp"), top1_pct=None, status="failed", error=HOSTILE)
    write_records(tmp_path / "machine", record, failed)
    content = html_page(page_content(read_folders(tmp_path)), "var Plotly = {};")
    assert len(Scripts(content.decode()).found) == 3
    assert content.decode().count("<script") == 3
    text = HOSTILE.replace("\ud800", "?")  # as a record has it
    data = data_of(content)
    assert data["sets"][0]["rows"][0]["model"] == text
    assert data["machines"][0]["commands"] == [text, failed.command]
    assert "; python -m benchmarks.selfcheck measures it." in data["machines"][0]["noise"]
    assert data["sets"][0]["failures"] == [["mlp", 0, "failed", text]]


TEXTS = st.text(alphabet=st.sampled_from("<>&/!-'\"\\\u2028\ud800") | st.characters(codec="utf-8"), max_size=20)


@settings(max_examples=50)
@given(st.lists(TEXTS, max_size=4) | st.dictionaries(TEXTS, TEXTS, max_size=3))
def test_any_text_comes_out_of_a_script_element_as_it_went_in(value: Any) -> None:
    text = embedded(value)
    assert json.loads(text) == value
    assert text.isascii() and not set(text) & set("<>&")


def test_numbers_that_json_lacks_are_missing_and_others_have_six_digits() -> None:
    assert embedded([float("nan"), float("inf"), 1 / 3, np.float64(2.5), np.int64(3)]) == "[null,null,0.333333,2.5,3]"


def test_where_room_ends_rows_go_without_their_images_and_what_can_not_fit_is_refused(machine: Path) -> None:
    plenty = html_page(page_content(read_folders(machine)), "")
    assert all(isinstance(text, str) for text in data_of(plenty)["sets"][0]["errors"])
    room = 20_000 + len(data_of(plenty)["sets"][0]["errors"][0]) + 10  # the reserve, and one row's errors
    without = len(plenty) - sum(map(len, data_of(plenty)["sets"][0]["errors"]))
    scant = html_page(page_content(read_folders(machine)), " " * (LIMIT_BYTES - without - room + 100))
    assert len(scant) <= LIMIT_BYTES
    errors = data_of(scant)["sets"][0]["errors"]
    assert isinstance(errors[0], str) and errors[1] is None
    with pytest.raises(ValueError, match="give the folder of one machine"):
        html_page(page_content(read_folders(machine)), " " * LIMIT_BYTES)


def test_many_runs_have_one_page(tmp_path: Path) -> None:
    configs = [make_config("cnn", lr=0.001 + 0.0001 * place) for place in range(40)]
    records = [make_record(config, seed=seed) for config in configs for seed in range(3)]
    write_records(tmp_path / "machine", *records)
    (found,) = made(tmp_path)["sets"]
    assert len(found["rows"]) == 40
    assert found["gallery"] is None and found["reasons"] == ["120 of 120 runs: no predictions saved"]


@settings(max_examples=40, deadline=None)
@given(
    labels=arrays(np.int64, 30, elements=st.integers(0, 2)),
    predicted=arrays(np.uint8, (3, 30), elements=st.integers(0, 2)),
)
def test_packed_errors_are_those_of_the_runs(labels: np.ndarray, predicted: np.ndarray) -> None:
    sure = np.linspace(0, 1, 90, dtype=np.float32).reshape(3, 30)
    voter = Voter(label="cnn", model="cnn", predicted=predicted, confidence=sure)
    votes = Votes(voters=[voter], labels=labels, class_names=("a", "b", "c"))
    found = np.frombuffer(base64.b64decode(packed_errors(votes, voter)), PACKED)
    counts = {(image, label): 0 for image in range(30) for label in range(3)}
    for image, label, runs, confidence_pct in found.tolist():
        who = predicted[:, image] == label
        assert label != labels[image]
        assert confidence_pct == round(100 * float(sure[who, image].mean(dtype=np.float64)))
        counts[image, label] = runs
    assert counts == {
        key: int((predicted[:, key[0]] == key[1]).sum()) if labels[key[0]] != key[1] else 0 for key in counts
    }


def test_pictures_worth_having_come_first_and_each_once() -> None:
    labels = np.repeat(np.arange(3), 10)
    predicted = labels.copy()
    predicted[[4, 25]] = (labels[[4, 25]] + 1) % 3
    runs, sure = predicted[None].astype(np.uint8), np.ones((1, 30), np.float32)
    voter = Voter(label="cnn", model="cnn", predicted=runs, confidence=sure)
    order = ranking([Votes(voters=[voter], labels=labels, class_names=("a", "b", "c"))])
    assert sorted(order.tolist()) == list(range(30))
    assert order[:2].tolist() == [4, 25]
    assert order[2:14].tolist() == [0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23]


def test_a_sheet_has_as_many_pictures_as_fit_each_in_its_place() -> None:
    images = np.random.default_rng(3).integers(0, 256, (200, 28, 28)).astype(np.uint8)
    order = np.arange(200)[::-1]
    sheet = atlas(images, order, limit_bytes=150_000)
    assert sheet is not None
    assert len(sheet["png"]) <= 150_000 and sheet["images"] == order[: len(sheet["images"])].tolist()
    assert 64 <= len(sheet["images"]) < 200
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(sheet["png"]))))
    for place in (0, 63, 64, len(sheet["images"]) - 1):
        top, left = place // 64 * 28, place % 64 * 28
        assert np.array_equal(255 - pixels[top : top + 28, left : left + 28], images[order[place]])
    assert atlas(images, order, limit_bytes=10_000) is None


def test_pictures_are_of_the_records_dataset_and_never_fetched(
    machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket", lambda *_: pytest.fail("a report must not use the network"))
    monkeypatch.setenv("FMNIST_ZOO_CACHE", str(tmp_path / "empty"))
    monkeypatch.delenv("FMNIST_ZOO_DATA", raising=False)
    with pytest.raises(DataError):
        read_test_images("kmnist", CHECKSUM)
    with pytest.raises(ValueError, match="is not a dataset"):
        read_test_images("nothing", CHECKSUM)
    data = made(machine)
    assert data["datasets"][CHECKSUM]["reason"].startswith("No pictures: the dataset is not available")
    assert data["sets"][0]["gallery"]["num_wrong_for_all"] > 0


def test_pictures_are_the_test_images(fashion_mnist: Any) -> None:
    images = read_test_images("fashion_mnist", fashion_mnist.checksum)
    assert np.array_equal(images, fashion_mnist.test.images.squeeze(1).numpy())
    with pytest.raises(ValueError, match="differs from that of the records"):
        read_test_images("fashion_mnist", CHECKSUM)


def history(*val_top1_pct: float | None, step_s: float = 2.0) -> list[Any]:
    blank = dict.fromkeys(("train_loss", "train_top1_pct", "val_loss", "lr"))
    return [
        {**blank, "epoch": place, "val_top1_pct": value, "elapsed_s": step_s * place}
        for place, value in enumerate(val_top1_pct, start=1)
    ]


def test_curves_are_means_over_seeds_with_the_least_and_greatest_up_to_the_shortest() -> None:
    runs = [make_record(seed=0, history=history(80, 90, 91)), make_record(seed=1, history=history(84, None, step_s=4))]
    found = learning_curves(Row("mlp", runs))
    assert found is not None
    assert (found["num_runs"], found["epoch"], found["elapsed_s"]) == (2, [1, 2], [3.0, 6.0])
    assert found["val_top1_pct"] == {"mean": [82, 90], "low": [80, 90], "high": [84, 90]}
    assert found["train_loss"] is None
    assert learning_curves(Row("mlp", [make_record(history=[])])) is None


def test_sweeps_are_the_latest_runs_and_those_of_each_day(tmp_path: Path) -> None:
    day = 24 * 60
    runs: Sequence[RunRecord] = [
        make_record(make_config("cnn"), top1_pct=90.0),
        make_record(make_config("cnn"), top1_pct=92.0, minutes=day),
        make_record(make_config("mlp"), top1_pct=88.0),
    ]
    write_records(tmp_path / "machine", *runs)
    sweeps = made(tmp_path)["sweeps"]
    names = [sweep["name"].rpartition(": ")[2] for sweep in sweeps]
    assert names == ["latest runs", "runs of 2026-11-21", "runs of 2026-11-22"]
    assert [[(row["label"], row["test_top1_pct"]) for row in sweep["rows"]] for sweep in sweeps] == [
        [("cnn", 92.0), ("mlp", 88.0)],
        [("cnn", 90.0), ("mlp", 88.0)],
        [("cnn", 92.0)],
    ]


def test_every_marker_of_the_figures_has_its_symbol_and_shape() -> None:
    folder = Path(page.__file__).parent / "static"
    plots, style = ((folder / name).read_text(encoding="utf-8") for name in ("plot.js", "style.css"))
    assert set(SYMBOLS) == {*MARKERS, *OTHER_MARKERS}
    for symbol in SYMBOLS.values():
        assert f'"{symbol}"' in plots and f".swatch.{symbol} {{" in style


def test_the_page_is_in_the_package() -> None:
    folder = Path(page.__file__).parent / "static"
    named = {f"{name}.js" for name in (*page.SCRIPTS, *page.LAST_SCRIPTS)} | {"page.html", "style.css"}
    assert {path.name for path in folder.iterdir()} == named


SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats() | st.text(max_size=5)


@settings(deadline=None, max_examples=25)  # it writes files
@given(path=st.lists(st.integers(0, 30), min_size=1, max_size=5), value=SCALARS | st.lists(SCALARS, max_size=3))
def test_a_record_with_any_part_replaced_is_shown_or_named(
    tmp_path_factory: pytest.TempPathFactory, path: list[int], value: Any
) -> None:
    folder = tmp_path_factory.mktemp("machine")
    file = RecordStore(folder).write(make_record())
    RecordStore(folder).write(make_record(make_config("cnn")))
    content = json.loads(file.read_bytes())
    replace_some_part(content, path, value)
    file.write_text(json.dumps(content), encoding="utf-8")
    data = made(folder)
    shown = sum(len(found["rows"]) for found in data["sets"])
    assert shown + len(data["machines"][0]["problems"]) == 2
