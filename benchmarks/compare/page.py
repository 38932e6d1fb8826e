"""The comparison as Markdown, suitable for a pull request."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from benchmarks.compare.judge import Change, Judgement
from benchmarks.compare.matching import Matching, Side
from benchmarks.records.record import RunRecord
from benchmarks.report.pairs import p_text
from benchmarks.report.text import MISSING, details, escape, number, significant, table

ROWS_SHOWN = 12
"""Tables with more rows collapse those that are held."""
UNSURE = ("not decided", "not judged")
EXPLANATION = (
    "Regressed: loss significantly beyond the limit (p below 0.05 by Holm's method over all rows of this page). Held: "
    "90% interval within the limit. Not decided: neither; more processes or a quieter machine would decide. Accuracy "
    "is judged over seeds, for single runs over test images; other measures over processes, as means of logarithms. "
    "Drift: spread between processes of the same arm on this machine, from both sides' records and its A/A check."
)


def comparison_page(old: Side, new: Side, matching: Matching, judgements: Sequence[Judgement]) -> str:
    """Verdict, a table for each measure, software differences, and rows not compared."""
    broken = [f"{row.label}, seed {seed}: {status}" for row in matching.rows for seed, status in row.broken.items()]
    num_runs = sum(len(row.runs) for row in matching.rows)
    sizes = f"configurations: {len(matching.rows)}; pairs of runs with the same seed: {num_runs}"
    blocks = [
        headline(judgements, num_broken=len(broken)),
        f"{escape(old.name)} before, {escape(new.name)} now; {sizes}.",
        *([escape(matching.other_machine)] if matching.other_machine else []),
        *(_table(judgement) for judgement in judgements),
        EXPLANATION,
        *_unknown(judgements),
    ]
    if broken:
        blocks.append("Succeeded before, fail now:\n\n" + "\n".join(f"- {escape(line)}" for line in broken))
    blocks.append(_software(matching))
    if matching.left_out:
        lines = "\n".join(f"- {escape(line)}" for line in matching.left_out)
        blocks.append(details(f"Not compared: {len(matching.left_out)}", lines))
    return "\n\n".join(blocks)


def headline(judgements: Sequence[Judgement], *, num_broken: int) -> str:
    """The verdict as a heading, with the number of undecided rows."""
    found = [f"{one.title}: {one.count('regressed')}" for one in judgements if one.count("regressed")]
    found += [f"runs that fail now: {num_broken}"] if num_broken else []
    rows = sum(len(one.changes) for one in judgements)
    unsure = [
        f"{verdict}: {count} of {rows}"
        for verdict in UNSURE
        if (count := sum(one.count(verdict) for one in judgements))
    ]
    title = "Regressed" if found else "No regression"
    return f"### {title} ({'; '.join([*found, *unsure])})" if found or unsure else f"### {title}"


def _table(judgement: Judgement) -> str:
    points = judgement.unit == "points"
    count, noise = ("seeds", "SD between seeds") if points else ("processes", "drift")
    headers = [
        "row", count, f"{judgement.title} before", "now", f"change, {judgement.unit} (90% interval)",
        f"{noise}, {judgement.unit} (df)", "limit", "p (Holm)", "verdict",
    ]  # fmt: skip
    changes = judgement.changes
    hidden = [change for change in changes if change.verdict == "held" and len(changes) > ROWS_SHOWN]
    told = [change for change in changes if change not in hidden]
    short, long = (
        table(headers, [_line(change, judgement) for change in part], words=headers[-1:]) for part in (told, hidden)
    )
    return "\n\n".join(
        [short] * bool(told) + [details(f"{judgement.title}: {len(hidden)} rows held", long)] * bool(hidden)
    )


def _line(change: Change, judgement: Judgement) -> list[str]:
    points = judgement.unit == "points"
    before, now = (number(value, 2) if points else significant(value, 4) for value in (change.before, change.now))
    bounds = None if change.verdict == "not judged" else change.loss.interval()
    interval = f" ({' to '.join(_signed(bound) for bound in sorted(map(judgement.in_unit, bounds)))})" if bounds else ""
    freedom = "images" if change.loss.freedom == math.inf else number(change.loss.freedom)
    noise = "unknown" if change.noise is None else f"{significant(change.noise, 2)} ({freedom})"
    return [
        escape(change.label),
        f"{change.num_before}, {change.num_now}" if change.num_before else MISSING,
        before,
        now,
        f"{_signed(judgement.in_unit(change.loss.amount))}{interval}",
        noise if change.num_before else MISSING,
        f"{judgement.limit:g}{' ' * points}{judgement.unit}",
        p_text(change.p_value),
        f"**{change.verdict}**" if change.verdict == "regressed" else change.verdict,
    ]


def _signed(value: float) -> str:
    return f"{round(value, 2) + 0.0:+.2f}"  # no -0.00


def _unknown(judgements: Sequence[Judgement]) -> list[str]:
    """How to measure the drift of arms without one; empty if all are known."""
    unknown = [change for one in judgements for change in one.changes if change.noise is None and change.num_before]
    text = (
        f"Drift unknown: {len(unknown)} rows, which can't be decided without two processes of the same model, "
        "precision, engine and recipe on one side; `python -m benchmarks.selfcheck` times several for the equal track."
    )
    return [text] if unknown else []


def _software(matching: Matching) -> str:
    """Software versions that differ between the two sets."""
    before, now = ([pair[side] for row in matching.rows for pair in row.runs] for side in (0, 1))
    old, new = _versions(before), _versions(now)
    lines = [[name, old[name], new[name]] for name in old if old[name] != new.get(name)]
    return (
        table(["software", "before", "now"], lines, words=("before", "now"))
        if lines
        else "Same software on both sides."
    )


def _versions(records: Sequence[RunRecord]) -> dict[str, str]:
    """Values of each software field, joined if runs differ."""
    parts = [json.loads(json.dumps(record.environment["software"])) for record in records]
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: escape(", ".join(sorted({_text(part.get(name)) for part in parts}))) for name in names}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return MISSING if value is None else str(value)[:60]
