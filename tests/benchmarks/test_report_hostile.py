"""Reports of folders that somebody else has filled: nothing in them acts on a page, a spreadsheet or a terminal."""

import csv
import dataclasses
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchmarks.records import selfcheck
from benchmarks.records.arms import ArmsRecord, ArmsStore
from benchmarks.records.machine import Machine
from benchmarks.records.record import RunRecord, config_key
from benchmarks.records.store import RecordStore
from benchmarks.records.tuning import FOLDER, read_searches, write_search
from benchmarks.report.__main__ import report
from benchmarks.report.arms import arms_frame, arms_section
from benchmarks.report.frames import csv as csv_text
from benchmarks.report.noise import between_arms, between_rows
from benchmarks.report.text import inert, printable
from benchmarks.report.tuning import trials_text, tuning_text
from fmnist_zoo.files import write_atomically
from tests.benchmarks.sample_records import make_flags, make_record, replace_some_part, report_text, write_records
from tests.benchmarks.sample_selfcheck import make_selfcheck
from tests.benchmarks.test_report_arms import COMPILED, EAGER, comparison
from tests.benchmarks.test_report_tuning import about, trial
from tests.full_disk import room_for

ATTACKS = (
    "|<script>alert(1)</script>", "[x](javascript:alert(1))", "`\n# heading\n```", "\x1b[31mred\x1b]0;title\x07",
    "=cmd|' /C calc'!A0", "<img src=x onerror=alert(1)>", "</details></td></table>", "![x](http://evil.invalid/x.png)",
    "\u202etxt.exe", "\ud800 half", "$\\href{javascript:alert(1)}{x}$",
)  # fmt: skip
KEPT = {
    "run_id", "comparison_id", "started_at", "measured_at", "config_key", "status", "schema_version", "predictions",
    "weights", "profile", "budget", "checksum",
}  # fmt: skip


def poisoned(value: Any, attack: str) -> Any:
    """The same with an attack in the place of every text, and in every name that isn't fixed."""
    if isinstance(value, dict):
        return {name: item if name in KEPT else poisoned(item, attack) for name, item in value.items()}
    if isinstance(value, list):
        return [poisoned(item, attack) for item in value]
    return f"{attack}{value}" if isinstance(value, str) else value


def poisoned_record(attack: str, **fields: Any) -> RunRecord:
    percentiles = {"p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0, "num_samples": 9}
    point = {"batch_size": 32, "img_per_s": 10.0, "samples_img_per_s": [10.0], "note": "out of memory"}
    record = make_record(
        flags=[*make_flags("shared"), {"kind": "drift", "evidence": "it drifts", "advice": "wait"}],
        compilation=dict.fromkeys(["num_graphs", "num_graph_breaks", "num_recompiles", "num_cache_hits"], 1)
        | {"cache": "cold", "num_cache_misses": 1},
        step_shares={"forward_ms": 1.0, "backward_ms": 2.0, "optimizer_ms": 1.0, "num_samples": 3},
        batch_sizes={"train": [point], "infer": [point], "train_knee": 32, "infer_knee": None},
        profile={"page": "profiles/x.md", "trace": "profiles/x.json.gz"}, **fields,
    )  # fmt: skip
    assert record.execution is not None
    record.execution["fallback"] = "no compiler"
    content = poisoned(dataclasses.asdict(record), attack)
    content["config"]["model_options"] = {attack: attack}
    content["latency"] = {f"batch_1{attack}": percentiles}
    content["config_key"] = config_key(content["config"])
    return RunRecord(**content)


def folder_of(attack: str, out: Path) -> Path:
    """A machine's folder with an attack everywhere in its records, comparisons, searches and its A/A check."""
    machine = out / "machine"
    write_records(machine, poisoned_record(attack), poisoned_record(attack, seed=1))
    failed = poisoned_record(attack, seed=2, metrics=None)
    failed.status, failed.error = "failed", f"{attack}\n{attack}"
    write_records(machine, failed, make_record())
    arms = poisoned(dataclasses.asdict(comparison(EAGER, {**COMPILED, "error": "lost", "fallback": "no"})), attack)
    ArmsStore(machine).write(ArmsRecord(**arms))
    selfcheck.write(machine, poisoned(make_selfcheck(), attack))
    search = {f"mlp{attack}": [poisoned(trial(0.01, 90.0), attack)]}
    write_search(machine / FOLDER / "quick.json", poisoned(about(), attack), search)
    return machine


class Tags(HTMLParser):
    """The tags of a page.

    Attributes:
        foreign: tags that no page of ours has, and links that lead elsewhere.
        open: tags whose end has not come.
    """

    TEXT = frozenset({"a", "br", "code", "details", "em", "h1", "h2", "h3", "img", "p", "strong", "summary", "sup"})
    OURS = TEXT | {"li", "ol", "pre", "table", "tbody", "td", "th", "thead", "tr", "ul"}

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[tuple[str, Any]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        links = [(value or "").removeprefix("../../docs/") for name, value in attrs if name in ("href", "src")]
        others = {name for name, _ in attrs} - {"href", "src", "alt", "style", "class", "start", "title"}
        if tag not in self.OURS or others or any(":" in link or ".." in link for link in links):
            self.foreign.append((tag, attrs))
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in ("br", "img") or (self.open and self.open.pop() == tag)


@pytest.mark.parametrize(
    "attack", ["=" + " ".join(ATTACKS), "\x1b" + "".join(reversed(ATTACKS))], ids=["apart", "joined"]
)
def test_no_text_of_a_record_acts_on_a_page_or_a_spreadsheet(
    attack: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = folder_of(attack, tmp_path)
    assert report(tmp_path, figures=attack.startswith("=")) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for text in (report_text(machine), (tmp_path / "README.md").read_text(encoding="utf-8")):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
        assert "$" not in re.sub(r"(`{3,})text\n.*?\n\1\n", "", text, flags=re.DOTALL)
        tags = Tags()
        tags.feed(MarkdownIt("commonmark").enable("table").render(text))
        assert not tags.foreign and not tags.open
    for path in machine.glob("*.csv"):
        for row in csv.reader(path.read_text(encoding="utf-8").splitlines(keepends=True)):
            assert not [cell for cell in row if re.match(r"[=@\t\r]|[+-](?![\d.])", cell)]


def test_names_and_reasons_are_shown_on_a_terminal_as_plain_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = tmp_path / "\x1b[31mmachine"
    write_records(machine, make_record())
    (machine / "runs" / "\x1b[2Jx\n\udcff.json").write_text('{"schema_version": 4, "\\u001b]0;x": 1}', encoding="utf-8")
    (machine / "arms").mkdir()
    (machine / "arms" / "a\x1b.json").write_text("{}", encoding="utf-8")
    (machine / FOLDER).mkdir()
    (machine / FOLDER / "b\x1b.json").write_text("{}", encoding="utf-8")
    (machine / "selfcheck.json").write_text("[]", encoding="utf-8")
    assert report(tmp_path, figures=False) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    lines = printed.err.splitlines()
    assert [re.sub(".*machine/(.*?json).*", r"\1", line) for line in lines] == [
        "runs/ [2Jx .json", "arms/a .json", f"{FOLDER}/b .json", "selfcheck.json",
    ]  # fmt: skip
    printed.out.encode()


@given(st.text())
def test_printable_text_is_one_line_without_control_characters(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() and shown.encode().decode() == shown
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "cell"),
    [("=1+1", "'=1+1"), ("@x", "'@x"), ("+x", "'+x"), ("-x", "'-x"), ("\tx", "'\tx"), ("cnn lr=-1", "cnn lr=-1")],
)
def test_formulas_are_no_formulas_in_a_csv(text: str, cell: str) -> None:
    assert inert(text) == cell


def test_without_room_a_report_says_so_and_leaves_whole_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = tmp_path / "machine"
    write_records(machine, make_record())
    assert report(tmp_path, figures=False) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_records(machine, make_record(seed=1))
    capsys.readouterr()
    with room_for(2000):
        assert report(tmp_path, figures=False) == 2
    assert re.match(r"error: can't write .*/machine/\S+: File too large; free some space", capsys.readouterr().err)
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert (machine / "README.md").read_bytes() == before[machine / "README.md"]
    assert set(after) == {*before, RecordStore(machine).runs_dir / f"{make_record(seed=1).run_id}.json"}
    assert report(tmp_path, figures=False) == 0


def test_a_page_of_somebody_else_has_no_say_in_what_is_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = tmp_path / "machine"
    write_records(machine, make_record())
    (machine / "figures").mkdir()
    (machine / "figures" / "mine.svg").write_text("drawn by hand", encoding="utf-8")
    (machine / "README.md").write_text("# Mine\n\n![what I drew](figures/mine.svg)\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert report(tmp_path) == 2
    assert "would be lost" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_report_removes_what_killed_writers_left_long_ago(tmp_path: Path) -> None:
    machine = tmp_path / "machine"
    write_records(machine, make_record(cost=None))
    old, new = machine / "runs" / ".0123456789abcdef.tmp", machine / "runs" / ".fedcba9876543210.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0.0, 0.0))
    assert report(tmp_path, figures=False) == 0
    assert not old.exists() and new.exists()


@pytest.mark.parametrize(
    ("name", "kind"), [("accuracy.csv", "a folder"), ("README.md", "a pipe"), ("arms.csv", "a pipe")], ids=str
)
def test_what_stands_where_a_table_belongs_is_replaced_or_named(
    tmp_path: Path, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = tmp_path / "machine"
    write_records(machine, make_record())
    ArmsStore(machine).write(comparison(EAGER, COMPILED))
    (machine / name).mkdir() if kind == "a folder" else os.mkfifo(machine / name)
    is_lost = kind == "a folder" or name == "README.md"
    assert report(tmp_path, figures=False) == (2 if is_lost else 0)
    assert (f"{machine / name}" in capsys.readouterr().err) == is_lost


RECORD, CHECK = make_record(), make_selfcheck()
MACHINE = Machine.of(RECORD.environment)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@settings(deadline=None, max_examples=60)
@given(
    which=st.sampled_from(["arms", "selfcheck", "tuning"]), path=st.lists(st.integers(0, 30), min_size=1, max_size=6),
    value=VALUES, cut=st.none() | st.integers(0, 2000),
)  # fmt: skip
def test_other_files_with_any_part_replaced_are_shown_or_named(
    tmp_path_factory: pytest.TempPathFactory, which: str, path: list[int], value: Any, cut: int | None
) -> None:
    machine = tmp_path_factory.mktemp("machine")
    search = {"mlp": [trial(0.01, 90.0)], "cnn": [trial(0.02, None, val_loss=None)]}
    write_search(machine / FOLDER / "quick.json", about(), search)
    found = {
        "arms": ArmsStore(machine).write(comparison(EAGER, COMPILED)),
        "selfcheck": selfcheck.write(machine, CHECK),
        "tuning": machine / FOLDER / "quick.json",
    }
    file = found[which]
    content = json.loads(file.read_bytes())
    replace_some_part(content, path, value)
    write_atomically(file, json.dumps(content).encode()[:cut])
    comparisons, arms_problems = ArmsStore(machine).read_all()
    checked, fault = selfcheck.read(machine)
    searches, search_problems = read_searches(machine)
    problems = [*arms_problems, *([fault] if fault else []), *search_problems]
    assert [problem.name for problem in problems] in ([], [str(file.relative_to(machine))])
    assert len(comparisons) + (checked is not None) + len(searches) + len(problems) == 3
    if comparisons:
        arms_section(comparisons, [RECORD], floor=between_arms(checked, MACHINE))
        csv_text([arms_frame(comparisons, [RECORD])])
    between_rows(checked, MACHINE)
    tuning_text(searches, "trials.md")
    trials_text(searches)
