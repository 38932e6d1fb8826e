"""What the documents say can be done."""

import csv
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.report.values import rate_text

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *(f"docs/{page.name}" for page in sorted((ROOT / "docs").glob("*.md"))),
    *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "results").glob("**/*.md"))),
)


def code_lines(document: str) -> list[str]:
    """Lines inside fenced code blocks."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert command.startswith("python3 -m venv") and command.endswith("tox")
    assert command in code_lines("README.md")


def test_the_main_job_is_one_line_that_starts_from_nothing_but_python() -> None:
    lines = [line for line in code_lines("README.md") if line.endswith("-m benchmarks.run --models all")]
    assert any(line.startswith("python3 -m venv .venv && .venv/bin/pip install ") for line in lines)


def anchors(text: str) -> set[str]:
    """What a heading of a page can be linked by, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings_of_the_repository(document: str) -> None:
    page = ROOT / document
    for file, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)#?([^)\s]*)\)", page.read_text(encoding="utf-8")):
        target = page.parent / file if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{file}#{anchor}"


def test_every_page_of_the_documentation_is_in_its_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [
        name for name in DOCUMENTS if name.startswith("docs/") and f"]({name.removeprefix('docs/')})" not in index
    ] == ["docs/README.md"]


def test_the_readme_is_short_and_begins_with_the_results_and_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 120
    assert [line.partition(" &&")[0] for line in code_lines("README.md")][:2] == ["python3 -m venv .venv"] * 2
    assert text.index("<!-- headline") < text.index("python3 -m venv") < text.index("## What it can answer")
    assert text.count("![") == 1
    questions = text.partition("## What it can answer")[2].partition("\n## ")[0]
    assert 5 < sum(line.startswith("| ") for line in questions.splitlines()) - 1 <= 15


def test_no_sentence_of_the_readme_has_more_than_three_figures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```|^\|.*?$|\]\([^)]*\)", "", text, flags=re.MULTILINE | re.DOTALL)
    sentences = re.split(r"[.?!]\s|\n\n|\n- ", prose)
    crowded = {
        sentence: figures for sentence in sentences if len(figures := re.findall(r"(?<![\w.,-])\d", sentence)) > 3
    }
    assert crowded == {}


def test_the_readme_names_the_versions_and_the_licence_of_the_package() -> None:
    line = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[2]
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(package["classifiers"]))
    torch = next(needed for needed in package["dependencies"] if needed.startswith("torch>="))
    assert (
        f"Python {versions[0]} to {versions[-1]}" in line
        and f"PyTorch {torch.removeprefix('torch>=')} or later" in line
    )
    assert f"[{package['license']}](LICENSE)" in line


def headline() -> list[list[str]]:
    """Cells of the table on the README's first screen, without its header."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- headline: (\S+) (\S+) -->\n(.*?)\n\n", text, re.DOTALL)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[3].splitlines()]
    return [[table[1], table[2], *cells] for cells in rows[2:]]


def numbers(name: str, machine: str) -> list[dict[str, str]]:
    with (ROOT / "results" / machine / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rate(row: Mapping[str, str], kind: str) -> str:
    """The rate of several runs as tables write it, with its interval."""
    keys = ("", "low_", "high_", "next_low_")
    mean, low, high, next_low = (float(row[f"{kind}_{part}img_per_s"]) for part in keys)
    return rate_text(mean, low, high, next_low, None)


def test_the_headline_is_what_was_measured() -> None:
    """Each cell of the README's first table is that of the committed results."""
    rows = headline()
    assert len(rows) >= 5
    for machine, budget, model, params, top1, train_s, train_img_per_s, infer_img_per_s in rows:
        key = {"variant": model.strip("`"), "budget": budget, "track": "equal"}
        accuracy, speed = (
            next(row for row in numbers(name, machine) if all(row[field] == value for field, value in key.items()))
            for name in ("accuracy.csv", "throughput.csv")
        )
        low, high = float(accuracy["test_top1_low_pct"]), float(accuracy["test_top1_high_pct"])
        assert top1 == f"{float(accuracy['test_top1_pct']):.2f} [{low:.2f}, {high:.2f}]"
        assert params == f"{int(accuracy['num_params']):,}"
        assert train_s == f"{float(accuracy['train_s']):.1f}"
        assert [train_img_per_s, infer_img_per_s] == [rate(speed, "train"), rate(speed, "infer")]


def test_the_seconds_are_what_was_measured() -> None:
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- seconds: (\S+) -->\n(.*?)\n\n", text, re.DOTALL)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2].splitlines()[2:]]
    measured = [row for row in numbers("accuracy.csv", table[1]) if row["track"] == "best"]
    speed = {row["config_key"]: row for row in numbers("throughput.csv", table[1])}
    assert len(rows) == len(measured) >= 5
    for model, seconds, top1, train_img_per_s in rows:
        (row,) = (
            row
            for row in measured
            if row["budget"] == f"seconds:{seconds}"
            and row["variant"].replace(f" budget=seconds:{seconds}", "") == model.strip("`")
        )
        half = (float(row["test_top1_high_pct"]) - float(row["test_top1_low_pct"])) / 2
        assert top1 == f"{float(row['test_top1_pct']):.2f} ± {half:.2f}" and row["num_seeds"] == "3"
        assert train_img_per_s == rate(speed[row["config_key"]], "train")


def test_the_other_frameworks_speeds_are_what_was_measured() -> None:
    """Both tables of other frameworks: speed in steady state, and the seconds of all epochs with compilation."""
    text = (ROOT / "docs" / "speed.md").read_text(encoding="utf-8").partition("## Compared with other frameworks")[2]
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| ([\d.]+) \|$", text.partition("\n## ")[0], re.MULTILINE)
    peers = json.loads((ROOT / "results" / "amd-epyc-2-cores-unrecorded" / "peers.json").read_text(encoding="utf-8"))
    small, large = (comparison["arms"] for comparison in peers["comparisons"])
    order = ("tutorial", "lightning", "keras", "jax", "torch")
    ratios = [[f"{arms[name]['speed_ratio']['median']:.1f}" for arms in (small, large)] for name in order]
    seconds = [
        [f"{sum(arms[name]['epoch_s']):.1f}" for arms in (small, large)]
        for name in (*order, "fmnist_zoo_fp32", "fmnist_zoo")
    ]
    assert [list(figures) for _, *figures in rows] == ratios + seconds
