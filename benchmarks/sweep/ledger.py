"""The ledger of a whole run: the worker's sections, the start of its process and the rest."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.records.schema import Ledger

PARTS = ("import", "data", "build", "probe", "first_step", "train", "eval", "measure", "profile", "write")


def complete_ledger(
    seconds: Mapping[str, float] | None, import_s: float | None, wall_s: float, *, unknown: float | None = 0.0
) -> Ledger:
    """The worker's sections, the start of its process and the rest, which together are the wall time.

    Args:
        seconds: by section; None where the worker died, and then only the wall time is known.
        import_s: until the worker was ready; 0 for a worker that was there already, None where it never was.
        wall_s: from asking for the run to its result.
        unknown: for sections that aren't there: 0 in a whole run, None in one that may not have come so far.
    """
    parts = (
        dict.fromkeys(PARTS)
        if seconds is None
        else {"import": import_s, **{part: seconds.get(part, unknown) for part in PARTS[1:]}}
    )
    known = sum(value for value in parts.values() if value is not None)
    ledger = {f"{part}_s": value for part, value in parts.items()}
    return Ledger(**ledger, other_s=None if seconds is None else wall_s - known, wall_s=wall_s)  # type: ignore[typeddict-item]
