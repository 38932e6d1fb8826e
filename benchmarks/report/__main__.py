"""`python -m benchmarks.report DIR`: regenerate tables and pages from the records, byte for byte.

`--pair A B` prints which of two models is better and the evidence instead; `--html` writes one interactive page.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from fmnist_zoo.cli.output import say
from fmnist_zoo.cli.parse import parse

if TYPE_CHECKING:
    from benchmarks.report.files import Found


EXAMPLES = ("results", "results --pair cnn unet_encoder", "results --html")


def report(
    directory: tyro.conf.Positional[Path],
    /,
    *,
    pair: tuple[str, str] | None = None,
    pair_figure: Path | None = None,
    figures: bool = True,
    html: bool = False,
) -> int:
    """Regenerate pages, CSV files and figures from the records, byte for byte.

    Exit code: 0, or 2 for wrong arguments or if there is nothing to report.

    Args:
        directory: Results folder, or the folder of one machine.
        pair: Compare two rows or models: which one is better, and how certain that is. Writes no report.
        pair_figure: With --pair: draw the difference of their confusion matrices into this file (.svg or .png).
        figures: Skip figures, which take longer than all tables.
        html: Write only index.html, a page to explore in a browser that works offline. Needs the extra `html`.

    Returns:
        The exit code: 0, or 2 if there is nothing to report.
    """
    # scipy loads after the arguments are understood
    from benchmarks.records.arms import ArmsStore
    from benchmarks.records.selfcheck import read
    from benchmarks.records.tuning import read_searches
    from benchmarks.report.files import pair_verdicts, regenerate, write_pair_figure
    from benchmarks.report.text import printable

    try:
        if pair_figure is not None and (pair is None or pair_figure.suffix not in (".svg", ".png")):
            raise ValueError(f"--pair-figure {pair_figure}: add --pair A B, and give a .svg or .png file")
        if pair is not None:
            say("\n\n".join(pair_verdicts(directory, pair)))
            if pair_figure is not None:
                print(f"\nDrawn: {write_pair_figure(directory, pair, pair_figure)}")
            return 0
        found = _write_html(directory) if html else regenerate(directory, figures=figures)
    except (ValueError, OSError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    for folder, (records, problems) in found.items():
        name = printable(str(folder))
        page = name if html else f"{name}/README.md"
        print(f"{page}: {len(records)} runs" if records else f"{name}: no readable record")
        for problem in problems:
            print(f"  skipped {name}/{printable(f'runs/{problem.name}: {problem.reason}')}", file=sys.stderr)
        for fault in (*ArmsStore(folder).read_all()[1], *read_searches(folder)[1], *filter(None, [read(folder)[1]])):
            print(f"  skipped {name}/{printable(f'{fault.name}: {fault.reason}')}", file=sys.stderr)
    return 0


def _write_html(directory: Path) -> Found:
    """Write the HTML page of a folder's records; returns the records by machine folder."""
    from benchmarks.report.files import read_folders
    from benchmarks.report.html.page import write_page
    from benchmarks.report.text import printable

    found = read_folders(directory)
    path = write_page(directory, found)
    print(f"{printable(str(path))}: {path.stat().st_size / 1e6:.1f} MB")
    return found


if __name__ == "__main__":
    sys.exit(parse(report, None, "benchmarks.report", examples=EXAMPLES).options)
