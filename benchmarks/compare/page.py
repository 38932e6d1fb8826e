"""The comparison as markdown, fit for a pull request."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.compare.judge import Change, Judgement
from benchmarks.compare.limits import NoiseFloor
from benchmarks.compare.matching import Matching, Side
from benchmarks.records.record import RunRecord
from benchmarks.report.pairs import p_text
from benchmarks.report.text import MISSING, details, escape, number, significant, table

ROWS_SHOWN = 12
"""Of longer tables those within the limit open on a click."""

VERDICTS = {"regressed": "**regressed**", "not shown": "beyond the limit, but may be chance", "ok": "ok"}


def comparison_page(
    old: Side, new: Side, matching: Matching, judgements: Sequence[Judgement], floor: NoiseFloor | None
) -> str:
    """Verdict, a table for each metric, what differs in software, and what was not compared."""
    broken = [f"{row.label}, seed {seed}: {status}" for row in matching.rows for seed, status in row.broken.items()]
    num_runs = sum(len(row.runs) for row in matching.rows)
    sizes = f"configurations: {len(matching.rows)}; pairs of runs with the same seed: {num_runs}"
    blocks = [
        headline(judgements, num_broken=len(broken)),
        f"{escape(old.name)} before, {escape(new.name)} now; {sizes}.",
        *(_table(judgement) for judgement in judgements),
        _explanation(judgements, floor),
    ]
    if broken:
        blocks.append("Ended well before, and not now:\n\n" + "\n".join(f"- {escape(line)}" for line in broken))
    blocks.append(_software(matching))
    if matching.left_out:
        lines = "\n".join(f"- {escape(line)}" for line in matching.left_out)
        blocks.append(details(f"Not compared: {len(matching.left_out)}", lines))
    return "\n\n".join(blocks)


def headline(judgements: Sequence[Judgement], *, num_broken: int) -> str:
    """The verdict as a heading."""
    found = [f"{judgement.metric}: {judgement.num_regressed}" for judgement in judgements if judgement.num_regressed]
    found += [f"runs that fail now: {num_broken}"] if num_broken else []
    return f"### Regressed ({'; '.join(found)})" if found else "### No regression"


def _table(judgement: Judgement) -> str:
    headers = ["row", "seeds", f"{judgement.metric} before", "now", f"change, {judgement.unit}", "p (Holm)", "verdict"]
    changes = judgement.changes
    if len(changes) <= ROWS_SHOWN:
        return table(headers, [_line(change, judgement) for change in changes], words=headers[-1:])
    told = [change for change in changes[:-1] if change.verdict != "ok"] + [changes[-1]]
    rest = [change for change in changes[:-1] if change.verdict == "ok"]
    short, long = (
        table(headers, [_line(change, judgement) for change in part], words=headers[-1:]) for part in (told, rest)
    )
    return f"{short}\n\n{details(f'{len(rest)} rows within the limit', long)}"


def _line(change: Change, judgement: Judgement) -> list[str]:
    points = judgement.unit == "points"
    before, now = (number(value, 2) if points else significant(value, 4) for value in (change.before, change.now))
    return [
        escape(change.label),
        number(change.num_seeds),
        before,
        now,
        f"{change.change:+.2f}",
        p_text(change.p_value),
        VERDICTS[change.verdict],
    ]


def _explanation(judgements: Sequence[Judgement], floor: NoiseFloor | None) -> str:
    limits = {judgement.unit: judgement.limit for judgement in judgements}
    allowed = " and ".join(
        f"{limit:g} {unit}" if unit == "points" else f"{limit:g}{unit}" for unit, limit in limits.items()
    )
    noise = (
        "The noise floor of this machine is not known: python -m benchmarks.selfcheck measures it."
        if floor is None
        else f"Noise floor of this machine between processes: {significant(floor.train_pct, 2)}% in training, "
        f"{significant(floor.infer_pct, 2)}% in inference."
    )
    return (
        f"Regressed: a loss of {allowed} or more, above the noise floor, with p below 0.05 (one-sided; over seeds, or "
        f"for single runs over test images or samples; Holm's method over the rows of a table). {noise}"
    )


def _software(matching: Matching) -> str:
    """Versions in which the two sets differ."""
    before, now = ([pair[side] for row in matching.rows for pair in row.runs] for side in (0, 1))
    old, new = _versions(before), _versions(now)
    lines = [[name, old[name], new[name]] for name in old if old[name] != new.get(name)]
    return (
        table(["software", "before", "now"], lines, words=("before", "now"))
        if lines
        else "Same software on both sides."
    )


def _versions(records: Sequence[RunRecord]) -> dict[str, str]:
    """The values that each part of the software had, joined where runs differ."""
    parts = [json.loads(json.dumps(record.environment["software"])) for record in records]
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: escape(", ".join(sorted({_text(part.get(name)) for part in parts}))) for name in names}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return MISSING if value is None else str(value)[:60]
