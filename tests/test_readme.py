"""What the documents say can be done."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


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


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_of_the_repository(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []
