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
    from benchmarks.arms.record import ArmsStore
    from benchmarks.report.files import pair_verdicts, regenerate
    from benchmarks.report.text import printable
    from benchmarks.selfcheck.results import read
    from benchmarks.tune.outcome import read_outcomes

    try:
        if pair is not None:
            print("\n\n".join(pair_verdicts(directory, pair)))
            return 0
        found = regenerate(directory)
    except (ValueError, OSError) as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    for folder, (records, problems) in found.items():
        name = printable(str(folder))
        print(f"{name}/README.md: {len(records)} runs" if records else f"{name}: no readable record")
        for problem in problems:
            print(f"  skipped {name}/{printable(f'runs/{problem.name}: {problem.reason}')}", file=sys.stderr)
        for fault in (*ArmsStore(folder).read_all()[1], *read_outcomes(folder)[1], *filter(None, [read(folder)[1]])):
            print(f"  skipped {name}/{printable(f'{fault.name}: {fault.reason}')}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(tyro.cli(report, prog="python -m benchmarks.report", description=__doc__))
