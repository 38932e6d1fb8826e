"""`python -m benchmarks.compare OLD NEW`: has anything regressed?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import tyro

from fmnist_zoo.cli.output import say
from fmnist_zoo.cli.parse import parse

EXAMPLES = ("old/results results", "old new --fail-on accuracy=0.5,throughput=10%")


def compare(
    old: tyro.conf.Positional[Path],
    new: tyro.conf.Positional[Path],
    /,
    *,
    fail_on: str = "accuracy=0.3,throughput=5%",
    strict: bool = False,
    allow: tuple[Literal["configs"], ...] = (),
) -> int:
    """Compare two sets of results and print a summary in markdown: has anything regressed?

    Both must have the same configurations; software may differ. Each row is regressed, held, or not decided by these
    runs. If the machines differ, only accuracy is judged.

    Exit code: 0 if nothing regressed, 1 if something did (with --strict also if a row isn't held), 2 for wrong
    arguments or if the two can't be compared.

    Args:
        old: Reference: a results folder, or that of one machine.
        new: Results to check against it.
        fail_on: Largest acceptable losses: points of test top-1 and percent of images per second. Adding latency=10%,
            memory=10% or first_step=50% checks these, too.
        strict: Fail unless every row is held.
        allow: Compare although configs differ, matching rows by label.

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
    sys.exit(parse(compare, None, "benchmarks.compare", examples=EXAMPLES).options)
