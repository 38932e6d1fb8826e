"""`python -m benchmarks.compare OLD NEW`: has anything become worse?

For one set of configurations, whatever the software: its differences are what the comparison is of. Each row is
regressed, held, or not decided by these runs; of two machines only accuracy is judged.
Exit code: 0 where nothing regressed, 1 where something did (with --strict also where something isn't held), 2 where the
two can't be compared or the arguments are wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import tyro

from fmnist_zoo.cli.output import say
from fmnist_zoo.cli.parse import parse


def compare(
    old: tyro.conf.Positional[Path],
    new: tyro.conf.Positional[Path],
    /,
    *,
    fail_on: str = "accuracy=0.3,throughput=5%",
    strict: bool = False,
    allow: tuple[Literal["configs"], ...] = (),
) -> int:
    """Compare two sets of records, and print a summary in markdown.

    Args:
        old: results folder, or one machine's, that is held to be right.
        new: the one in question.
        fail_on: losses that are too much: points of test top-1, percent of images per second. Judged where named:
            latency=10%, memory=10%, first_step=50%.
        strict: fail unless every row is held.
        allow: compare though configs differ; rows are then matched by label.

    Returns:
        The exit code: 0, 1 (regressed) or 2 (not comparable).
    """
    from benchmarks.compare.drift import Drift, read_checks
    from benchmarks.compare.judge import judge  # scipy loads after the arguments are understood
    from benchmarks.compare.limits import parse_limits
    from benchmarks.compare.matching import match, read_side
    from benchmarks.compare.page import comparison_page

    try:
        limits = parse_limits(fail_on)
        before, now = read_side(old), read_side(new)
        matching = match(before, now, allow)
        drift = Drift((before, now), read_checks([*before.folders, *now.folders]))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    judgements = judge(matching, (before.answers, now.answers), limits=limits, drift=drift)
    say(comparison_page(before, now, matching, judgements))
    worse = any(judgement.count("regressed") for judgement in judgements) or any(row.broken for row in matching.rows)
    unsure = any(judgement.count("held") < len(judgement.changes) for judgement in judgements)
    return 1 if worse or (strict and unsure) else 0


if __name__ == "__main__":
    sys.exit(parse(compare, None, "benchmarks.compare", description=__doc__).options)
