"""The numbers in a page's tables, row by row, apart from all words: a change of wording leaves them as they are.

`python -m tests.benchmarks.page_numbers REVISION` compares the pages and CSV files in results/ with those of a git
revision; exit code 1 where a number, a row or a file differs.
"""

import re
import subprocess
import sys
from pathlib import Path

_NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")


def table_numbers(page: str) -> list[list[str]]:
    """The numbers of each table row of a Markdown page, without headers and footnote marks."""
    lines = re.sub("<sup>.*?</sup>", "", page).split("\n")
    rows = [line for line, after in zip(lines, [*lines[1:], ""], strict=True) if line[:1] == "|" and after[:2] != "|:"]
    return [_NUMBER.findall(row) for row in rows if row[:2] != "|:"]


def main(revision: str) -> int:
    """Compare results/ with a revision, and print what differs and how much was compared."""
    names = {name for name in _git("ls-tree", "-r", "--name-only", revision, "results").split() if _compared(name)}
    now = {str(path) for path in Path("results").rglob("*") if _compared(str(path))}
    total, wrong = 0, sorted(names ^ now)
    for name in sorted(names & now):
        before, after = _git("show", f"{revision}:{name}"), Path(name).read_text(encoding="utf-8")
        rows = table_numbers(after)
        total += sum(map(len, rows))
        if before != after if name.endswith(".csv") else table_numbers(before) != rows:
            wrong.append(name)
    print(f"{len(names)} files, {total:,} numbers in tables: {', '.join(wrong) or 'all as before'}")
    return 1 if wrong else 0


def _compared(name: str) -> bool:
    return name.endswith((".md", ".csv")) and "/profiles/" not in name


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
