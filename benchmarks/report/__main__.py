"""`python -m benchmarks.report DIR`: make tables and pages again from the records, byte for byte.

With `--pair A B` it says instead which of two models is better, and how sure that is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import tyro


def report(directory: tyro.conf.Positional[Path], /, *, pair: tuple[str, str] | None = None) -> int:
    """Make README.md and CSV files again from the records, byte for byte.

    Args:
        directory: a results folder, or the folder of one machine in it.
        pair: two rows or models: say which is better and how sure that is, and write nothing.

    Returns:
        The exit code: 0, or 2 where there is nothing to make a report of.
    """
    # pandas and scipy load after the arguments are understood
    from benchmarks.report.files import pair_verdicts, regenerate
    from benchmarks.selfcheck.results import read

    try:
        if pair is not None:
            print("\n\n".join(pair_verdicts(directory, pair)))
            return 0
        found = regenerate(directory)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for folder, (records, problems) in found.items():
        print(f"{folder / 'README.md'}: {len(records)} runs" if records else f"{folder}: no readable record")
        for problem in problems:
            print(f"  skipped {folder / 'runs' / problem.name}: {problem.reason}", file=sys.stderr)
        if fault := read(folder)[1]:
            print(f"  skipped {folder / fault.name}: {fault.reason}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(report, prog="python -m benchmarks.report", description=__doc__))
