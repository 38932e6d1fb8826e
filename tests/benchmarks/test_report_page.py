"""Pages made from records by hand: as a whole against a snapshot, and what each part must get right.

After an intended change: UPDATE_SNAPSHOTS=1 python -m pytest tests/benchmarks/test_report_page.py, then read the diff.
"""

import html
import os
import re
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tabulate
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from benchmarks.records.json_files import Problem
from benchmarks.records.record import RunRecord
from benchmarks.report import frames
from benchmarks.report.answers import Answers
from benchmarks.report.findings import page_findings
from benchmarks.report.index import index_page
from benchmarks.report.markdown import Material, machine_pages
from benchmarks.report.pictures import Picture, Pictures
from benchmarks.report.rows import sections
from benchmarks.report.text import code_block, contents, escape, shorten, significant, table
from tests.benchmarks.page_numbers import table_numbers
from tests.benchmarks.sample_records import (
    make_config,
    make_cost,
    make_environment,
    make_flags,
    make_record,
    make_roofline,
)

SNAPSHOTS = Path(__file__).parent / "snapshots"
HOSTILE = "timm/<img src=x onerror=alert(1)>|`_*[x](javascript:y)\n# $z$"


def sweep() -> list[RunRecord]:
    """Several models and seeds, runs that failed, names and messages that try to break out of their cells."""
    tutorial: dict[str, Any] = {"track": "published", "num_train": 60000, "num_val": 0}
    latency = {"batch_1": {"p50_ms": 0.4567, "p95_ms": 0.6, "p99_ms": 0.9, "num_samples": 500}}
    cnn, wide = make_config("cnn", lr=0.002), make_config("mlp", options={"hidden": "512-256"})
    nothing: dict[str, Any] = {"top1_pct": None, "minutes": 4}
    return [
        *(make_record(make_config("mlp"), seed=seed, top1_pct=89.5 + 0.1 * seed, latency=latency) for seed in range(3)),
        *(make_record(cnn, seed=seed, top1_pct=92.9 - 0.05 * seed, minutes=1) for seed in range(2)),
        make_record(cnn, seed=2, status="timeout", error="over 600 s", **nothing),
        make_record(wide, minutes=2, flags=make_flags("Few samples: 3.", "Shared CPU: 12%.")),
        make_record(make_config("lstm"), top1_pct=20.0, minutes=2),  # replaced by the next
        make_record(
            make_config("lstm"), top1_pct=88.9, minutes=3, flags=make_flags("Shared CPU: 12%."), edit=fall_back
        ),
        make_record(make_config(HOSTILE), status="failed", error=f"{HOSTILE}\n```\n{'long ' * 99}", **nothing),
        make_record(
            make_config("tutorial_mlp_128_64", budget="epochs:10", **tutorial), top1_pct=88.2, minutes=5,
            command="python -m benchmarks.run --models tutorials",
            environment=make_environment(torch="2.16.0", dirty=True),
        ),
        make_record(make_config("tutorial_unet", budget="epochs:15", **tutorial), top1_pct=88.1, minutes=1500),
    ]  # fmt: skip


def fall_back(record: RunRecord) -> None:
    """Say that what was asked for could not be had."""
    assert record.execution is not None
    record.execution["fallback"] = "No C++ compiler was found: eager instead of compile."


def page_of(records: Sequence[RunRecord], problems: Sequence[Problem] = (), answers: Answers | None = None) -> str:
    shown = sections(records)
    pages = machine_pages(
        [frames.section_frames(section) for section in shown],
        records,
        problems,
        page_findings(shown, answers or Answers()),
        Material(),
    )
    return "\n".join(pages.values())


def check_snapshot(name: str, text: str) -> None:
    path = SNAPSHOTS / name
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{name} changed; see the top of this file"


def cells(page: str, row: str, *, table: int = 0) -> list[str]:
    """The cells of a row by the beginning of its name, in the n-th table that has it."""
    lines = [line for line in page.splitlines() if line.startswith(f"| {row}")]
    return [cell.strip() for cell in lines[table].strip("|").split("|")]


def test_the_page_is_the_one_that_was_read_and_approved() -> None:
    check_snapshot("machine.md", page_of(sweep(), [Problem("notes|1.txt", "not a record: <b>")]))


def test_the_numbers_in_tables_are_those_that_were_approved_whatever_the_words() -> None:
    rows = table_numbers(page_of(sweep()))
    assert sum(map(len, rows)) > 300
    check_snapshot("numbers.txt", "".join(f"{' '.join(row)}\n" for row in rows))


def test_the_index_is_the_one_that_was_read_and_approved() -> None:
    gpu = make_environment(gpu_name="NVIDIA H100 80GB HBM3", gpu_memory_gib=79.2, gpu_count=8)
    failed = make_record(status="oom", top1_pct=None, environment=make_environment(cpu_model="Slow"))
    machines = {
        "nvidia-h100-80gb-hbm3": [make_record(top1_pct=93.25, minutes=9, environment=gpu)],
        "amd-epyc-2-cores": sweep(),
        "sp ace|x": [failed],
    }
    check_snapshot("index.md", index_page(machines))


@pytest.mark.parametrize("name", ["accuracy", "throughput", "cost", "per_class", "confusion"])
def test_the_csv_is_the_one_that_was_read_and_approved(name: str) -> None:
    text = frames.csv([getattr(frames, f"{name}_frame")(section) for section in sections(sweep())])
    if name in ("per_class", "confusion"):  # a thousand lines say no more than their first
        text = "".join(text.splitlines(keepends=True)[:12])
    check_snapshot(f"{name}.csv", text)


def test_the_order_of_reading_does_not_matter() -> None:
    assert page_of(sweep()[::-1]) == page_of(sweep())


def test_rows_stand_by_accuracy_and_rows_without_one_last() -> None:
    labels = [row.label for row in sections(sweep())[0].rows]
    assert labels == ["cnn", "mlp", "mlp hidden=512-256", "lstm", HOSTILE]


def test_only_the_latest_run_of_a_configuration_and_seed_counts() -> None:
    page = page_of(sweep())
    assert cells(page, "lstm")[3] == "88.90 [88.27, 89.50]"
    assert "; 1 older ones, since repeated, not counted" in page


def test_a_good_run_is_not_lost_by_a_later_failure_of_the_same_and_both_are_told() -> None:
    good, other = make_record(code_checksum="a"), make_record(seed=1, code_checksum="a")
    failed = make_record(top1_pct=None, status="failed", error="killed from outside", minutes=9, code_checksum="a")
    (section,) = sections([good, failed, other])
    assert section.rows[0].ok == [good, other] and section.rows[0].replaced == [failed]
    page = page_of([good, failed, other])
    assert cells(page, "mlp")[2] == "2"
    assert (
        "- mlp, seed 0: failed after a successful run with the same run key, which counts. killed from outside" in page
    )
    changed = make_record(top1_pct=None, status="failed", minutes=9, code_checksum="b")
    (section,) = sections([good, changed, other])
    assert section.rows[0].ok == [other] and "seed 0: failed. " in page_of([good, changed, other])


def test_a_mean_over_seeds_and_a_single_seed_have_their_own_intervals() -> None:
    records = [make_record(seed=seed, top1_pct=top1) for seed, top1 in enumerate([90.0, 91.0, 92.0])]
    page = page_of(records)
    assert cells(page, "mlp")[2:4] == ["3", "91.00 ± 2.48"]  # t(0.975; 2) = 4.3027, deviation 1
    assert "± 95% t interval over seeds" in page
    assert "binomial" not in page
    single = page_of(records[:1])
    assert cells(single, "mlp")[2:4] == ["1", "90.00 [89.40, 90.57]"]
    assert "95% binomial interval" in single
    assert "t interval" not in single


def test_a_failed_run_is_counted_and_explained() -> None:
    page = page_of(sweep())
    assert cells(page, "cnn")[2] == "2"
    assert cells(page, "cnn")[-1] == "timeout (2/3 ok)"
    assert re.search(r"^- cnn, seed 2: timeout\. over 600 s \(\[record\]\(runs/\S+-s2\.json\)\)$", page, re.MULTILINE)


def test_what_is_missing_is_a_dash_and_never_a_zero() -> None:
    page = page_of([make_record(status="oom", top1_pct=None, error="out of memory")])
    assert cells(page, "mlp") == ["mlp", "—", "0", "—", "—", "—", "—", "oom (0/1 ok)"]  # none of the seeds counts
    assert set(cells(page, "mlp", table=1)[1:-1]) == {"—"}
    assert "Confusion" not in page


def test_tables_without_rows_still_have_a_header() -> None:
    (section,) = sections([make_record(status="oom", top1_pct=None)])
    assert frames.csv([frames.per_class_frame(section)]) == "dataset,track,num_train,num_val,budget,variant,model\n"


def test_a_run_without_throughput_or_memory_has_its_accuracy() -> None:
    page = page_of([make_record(throughput=None, memory=None)])
    assert cells(page, "mlp")[3] == "89.50 [88.88, 90.09]"
    assert cells(page, "mlp", table=1)[1:4] == ["—", "—", "—"]


def test_throughput_is_the_geometric_mean_and_memory_and_first_step_are_the_worst() -> None:
    def vary(factor: float) -> RunRecord:
        record = make_record(seed=int(factor * 10))
        assert record.throughput is not None and record.memory is not None
        record.throughput["train_img_per_s"] = 1000 * factor
        record.memory["peak_mem_mib"] = 1000 * factor
        record.ledger["first_step_s"] = 10 * factor
        return record

    page = page_of([vary(1.0), vary(1.3), vary(9.0)])
    row = dict(zip(cells(page, "model", table=1), cells(page, "mlp", table=1), strict=True))
    assert row["train, img/s"].startswith("2,300 [") and row["first step (compile), s"] == "90.0"
    assert row["peak memory (baseline), MiB"] == "9,000 (540)"


def test_what_the_device_can_do_stands_below_the_throughput_it_was_measured_with() -> None:
    runs = [
        make_record(seed=0, roofline=make_roofline(fp32=0.2, copy_gb_per_s=30.0)),
        make_record(seed=1, roofline=make_roofline(fp32=0.25, copy_gb_per_s=30.01)),
        make_record(seed=2, roofline=None),
    ]
    page = page_of(runs)
    assert (
        "Measured peaks of this device (from 2 of 3 runs): matrix products (2,048 x 2,048) "
        "fp32 0.2 to 0.25, bf16 0.4 to 0.5 TFLOP/s; copy 30.0 GB/s (read + written)."
    ) in page
    (section,) = sections(runs)
    row = frames.throughput_frame(section)[0]
    assert row["gemm_fp32_tflop_per_s"] == pytest.approx(0.225) and row["gemm_tf32_tflop_per_s"] is None
    assert row["copy_gb_per_s"] == pytest.approx(30.005)


def test_runs_that_did_not_measure_the_device_say_nothing_of_it() -> None:
    empty = make_roofline(fp32=None, copy_gb_per_s=None)
    assert "The most that this device" not in page_of([make_record(roofline=None), make_record(seed=1, roofline=empty)])
    copied = page_of([make_record(roofline=make_roofline(fp32=None))])
    assert "Measured peaks of this device: copy 40.5 GB/s (read + written)." in copied


def test_cost_and_roofline_are_counts_and_medians_over_runs() -> None:
    def timed(seed: int, train_img_per_s: float) -> RunRecord:
        record = make_record(seed=seed)
        assert record.throughput is not None
        record.throughput["train_img_per_s"] = train_img_per_s
        return record

    page = page_of([timed(0, 40_000.0), timed(1, 70_000.0), timed(2, 50_000.0)])
    assert "### Cost and roofline" in page
    # 50,000 img/s of 1.5 MFLOP: 0.075 TFLOP/s, of 0.42 in bf16, and of 8 FLOP/byte x 40.5 GB/s
    row = ["mlp", "535,818", "0.00025", "0.0005", "0.0015", "bf16", "0.075", "17.9", "8.00", "23.1"]
    assert cells(page, "mlp", table=2) == row


def test_what_a_cost_does_not_say_is_a_dash() -> None:
    page = page_of([make_record(cost=make_cost(step_mb=None), roofline=None)])
    assert cells(page, "mlp", table=2)[4:] == ["0.0015", "bf16", "0.0619", "—", "—", "—"]
    failed = make_record(make_config("cnn"), status="oom", top1_pct=None, cost=make_cost())
    assert cells(page_of([make_record(), failed]), "cnn", table=2)[2:] == [
        "0.00025", "0.0005", "0.0015", "—", "—", "—", "—", "—"
    ]  # fmt: skip


def test_a_section_of_runs_without_cost_has_no_such_table() -> None:
    assert "Cost and roofline" not in page_of([make_record(cost=None)])
    page = page_of([make_record(cost=None), make_record(make_config("cnn"))])
    cost = page.partition("### Cost and roofline")[2].partition("Operations are counted")[0]
    assert "\n| cnn " in cost and "\n| mlp " not in cost


def test_figures_stand_in_their_section() -> None:
    records = [make_record(), make_record(make_config(budget="epochs:20"))]
    parts = [frames.section_frames(section) for section in sections(records)]
    picture = Picture(kind="roofline", path="figures/roofline-training.svg", alt="Roofline of [x]")
    page = machine_pages(
        parts,
        records,
        [],
        page_findings([part.section for part in parts], Answers()),
        Material(pictures=Pictures({parts[0].section.conditions: [picture]})),
    )["README.md"]
    assert page.count("![Roofline of &#91;x&#93;](figures/roofline-training.svg)") == 1
    assert page.index("![Roofline") < page.index("\n## Fashion-MNIST, equal recipe, 5 epochs")


def test_a_profile_is_linked_where_there_is_one() -> None:
    names = {"page": "profiles/x.md", "trace": "profiles/x.trace.json.gz"}
    page = page_of([make_record(profile=names), make_record(seed=1)])
    assert re.search(r"\[0\]\(runs/\S+-s0\.json\) \(\[profile\]\(profiles/x\.md\)\), \[1\]\(runs/\S+-s1\.json\)", page)
    assert "Wall time includes profiling." in page
    assert "profile" not in page_of([make_record()])


def test_a_page_begins_with_a_list_of_its_parts_in_the_order_in_which_a_reader_asks() -> None:
    page = page_of(sweep()).partition("\n# ")[2]
    listed = re.findall(r"^- \[(.+)\]\(#.+\)$", page.partition("\n## ")[0], re.MULTILINE)
    assert listed == re.findall(r"^## (.+)$", page.partition("\n# ")[0], re.MULTILINE)
    parts = re.findall(r"^### (.+)$", page.partition("\n## ")[2].partition("\n## ")[0], re.MULTILINE)
    assert parts == ["Accuracy", "Throughput", "Cost and roofline", "Pairs"]
    assert (
        contents(["## A&#42; b-c, d", "### no", "## A b-c d"]) == "- [A&#42; b-c, d](#a-b-c-d)\n- [A b-c d](#a-b-c-d-1)"
    )


def test_flags_are_footnotes_and_each_stands_once() -> None:
    page = page_of(sweep())
    assert cells(page, "mlp hidden")[0] == "mlp hidden=512-256<sup>1,2</sup>"
    assert cells(page, "lstm")[0] == "lstm<sup>2,3</sup>"
    assert page.count("Shared CPU: 12%.") == 1


def test_seconds_of_the_best_track_share_a_table() -> None:
    best: dict[str, Any] = {"track": "best", "num_train": 60000, "num_val": 0}
    page = page_of([make_record(make_config(budget=f"seconds:{n}", **best)) for n in ("0.8", "10")])
    assert page.count("## Fashion-MNIST, each model's own recipe, training-time budgets, 60,000 training images") == 1
    assert "| seconds:0.8 |" in page.replace("  ", " ") and "Rows with equal budgets have equal training time" in page


def test_sections_are_sets_of_comparable_conditions_the_main_one_first() -> None:
    records = [
        make_record(make_config(track="published", num_train=60000, num_val=0)),
        make_record(make_config(dataset="kmnist")),
        make_record(make_config(budget="seconds:60")),
        make_record(make_config(budget="epochs:5")),
        make_record(make_config(track="best", num_train=60000, num_val=0)),
        make_record(make_config(budget="epochs:20")),
        make_record(make_config(budget="lunches:many")),
        make_record(make_config(num_train=1000)),
    ]
    titles = re.findall(r"^## (.*images)$", page_of(records), re.MULTILINE)
    assert titles == [
        "Fashion-MNIST, equal recipe, 20 epochs, 55,000 training images",
        "Fashion-MNIST, equal recipe, 5 epochs, 55,000 training images",
        "Fashion-MNIST, equal recipe, 5 epochs, 1,000 training images",
        "Fashion-MNIST, equal recipe, 60 seconds, 55,000 training images",
        "Fashion-MNIST, equal recipe, lunches:many, 55,000 training images",
        "Fashion-MNIST, each model's own recipe, 5 epochs, 60,000 training images",
        "Fashion-MNIST, each tutorial's own recipe, 60,000 training images",
        "KMNIST, equal recipe, 5 epochs, 55,000 training images",
    ]


def test_runs_with_other_classes_are_not_added_up() -> None:
    other = make_record(seed=1)
    assert other.metrics is not None
    other.metrics["per_class"][0]["class"] = "Hat"
    (section,) = sections([make_record(), other])
    assert {row["num_runs"] for row in frames.confusion_frame(section)} == {1}


def test_large_sweeps_keep_the_page_below_what_github_shows() -> None:
    records = [make_record(make_config(lr=index / 1000), top1_pct=80 + index / 100) for index in range(150)]
    page = page_of(records)
    assert len(page.encode()) < 500_000
    assert "130 more matrices are in [confusion.csv](confusion.csv)." in page


@given(st.text())
def test_escaped_text_has_nothing_that_markdown_or_html_would_act_on(text: str) -> None:
    escaped = escape(text)
    assert not set(re.sub(r"&#\d+;", "", escaped)) & set("&<>|`*[]\\~$\n\r\t\x1b\u2028")
    shown = re.sub(r"&#(\d+);", lambda match: chr(int(match[1])), escaped)
    assert shown == " ".join("".join(character if character.isprintable() else " " for character in text).split())


def test_tables_are_the_same_where_wcwidth_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    without = table(["a", "b"], [["龙", "1"], ["long", "2"]])
    fake = types.SimpleNamespace(wcswidth=lambda text: 2 * len(text), wcwidth=lambda _: 2)
    monkeypatch.setattr(tabulate, "wcwidth", fake)
    assert table(["a", "b"], [["龙", "1"], ["long", "2"]]) == without


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


@given(st.text())
def test_a_renderer_shows_escaped_text_as_it_was(text: str) -> None:
    shown = re.findall("<td>(.*)</td>", rendered(f"| a |\n| - |\n| {escape(text) or '.'} |\n"))
    assert [html.unescape(cell) for cell in shown] == [html.unescape(escape(text)) or "."]
    assert not set("<>") & set("".join(shown))


def test_hostile_names_neither_break_the_tables_nor_become_markup() -> None:
    tree = rendered(page_of(sweep()))
    assert not re.search("<(img|script|a href=.?javascript)", tree)
    for part in re.findall("<table>.*?</table>", tree, re.DOTALL):
        sizes = {row.count("<td") + row.count("<th") for row in re.findall(r"<tr>.*?</tr>", part, re.DOTALL)}
        assert len(sizes) == 1
    assert html.unescape(tree).count(" ".join(HOSTILE.split())) >= 5


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("unet_encoder", "unet_encoder"), ("_x_", "&#95;x&#95;"), ("a | b", "a &#124; b"), ("a\n\n# b", "a # b")],
)
def test_plain_names_stay_readable(text: str, escaped: str) -> None:
    assert escape(text) == escaped


@given(st.lists(st.text(alphabet="`~a \n"), max_size=4))
def test_code_can_not_close_its_own_fence(lines: list[str]) -> None:
    opening, *content, closing = code_block(lines).split("\n")
    assert opening == f"{closing}text"
    assert not any(re.match(rf"\s*{closing}", line) for line in content)


def test_long_messages_are_cut() -> None:
    assert shorten("a  b\nc") == "a b c"
    assert shorten("word " * 100, 20) == "word word word word…"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0.0, "0"),
        (0.01234, "0.0123"),
        (1.0, "1.00"),
        (9.999, "10.0"),
        (12.34, "12.3"),
        (12345.6, "12,346"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert significant(value) == text
