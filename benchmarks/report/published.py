"""Published Fashion-MNIST results with their caveats, beside our model of the same family."""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import fmean

from benchmarks.report.rows import Row, Section
from benchmarks.report.text import MISSING, escape, number, table

FAMILY = {"recurrent": "lstm"}
"""Families with another name here; the rest have the same name, or no counterpart."""

DATA_RELEASES = {
    "current": None,
    "old": "old data release: other images than used here",
    "unknown": "data release unknown",
}
EPOCH_CHOICES = {
    "final": None,
    "": None,
    "best on test": "best epoch selected on the test set",
    "unknown": "epoch selection unknown",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """One published result; the fields are the columns of published.csv."""

    family: str
    model: str
    top1_pct: float
    params: int | None
    augmentation: str
    data_release: str
    epoch_choice: str
    source: str

    @property
    def remarks(self) -> list[str]:
        """Caveats, in words."""
        return [text for text in (DATA_RELEASES[self.data_release], EPOCH_CHOICES[self.epoch_choice]) if text]


@functools.cache
def published_results() -> tuple[Published, ...]:
    """The published results shipped with the package, in file order."""
    text = files("benchmarks.report").joinpath("published.csv").read_text(encoding="utf-8")
    return parse_published(text)


def parse_published(text: str) -> tuple[Published, ...]:
    """The rows of a table like published.csv.

    Raises:
        ValueError: a row is invalid; the message names the line.
    """
    results: list[Published] = []
    rows = csv.DictReader(io.StringIO(text), strict=True)
    try:
        results.extend(map(_result, rows))
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"published.csv, near line {rows.line_num}: {error}") from error
    return tuple(results)


def _result(row: Mapping[str, str]) -> Published:
    if None in row.values() or not 0 < float(row["top1_pct"]) <= 100:
        raise ValueError(f"{row} lacks a column, or top1_pct is not above 0 and at most 100")
    if row["data_release"] not in DATA_RELEASES or row["epoch_choice"] not in EPOCH_CHOICES:
        raise ValueError(
            f"{row}: data_release must be one of {list(DATA_RELEASES)}, epoch_choice of {list(EPOCH_CHOICES)}"
        )
    return Published(
        family=row["family"],
        model=row["model"],
        top1_pct=float(row["top1_pct"]),
        params=int(row["params"]) if row["params"] else None,
        augmentation=row["augmentation"],
        data_release=row["data_release"],
        epoch_choice=row["epoch_choice"],
        source=row["source"],
    )


def published_text(sections: Sequence[Section]) -> list[str]:
    """The table with its caption; empty on a machine without runs on Fashion-MNIST."""
    ours = [section for section in sections if section.conditions.dataset == "fashion_mnist"]
    if not ours:
        return []
    lines = []
    for result in published_results():
        row = our_row(ours, FAMILY.get(result.family, result.family))
        lines.append(
            [
                escape(result.model),
                escape(result.family),
                number(result.top1_pct, 2),
                number(result.params),
                escape(result.augmentation) or MISSING,
                escape("; ".join(result.remarks)) or MISSING,
                escape(result.source),
                _ours(row),
            ]
        )
    headers = [
        "published",
        "family",
        "top-1, %",
        "params",
        "augmentation",
        "caveats",
        "source",
        "measured here",
    ]
    words = ("family", "augmentation", "caveats", "source", "measured here")
    caption = (
        "As published, with other seeds, budgets and machines; not reproduced here. With 10,000 test images, a single "
        "run near 93% is uncertain by half a point. Last column: this machine's first table with that family, for "
        "orientation only."
    )
    return [caption, table(headers, lines, words=words)]


def our_row(sections: Sequence[Section], family: str) -> Row | None:
    """A family's row in the first section that has one: the model named like the family, else the first by name.

    Never the best of several, which would be selection on the test set.
    """
    for section in sections:
        rows = [row for row in section.rows if row.ok and row.records[0].family == family]
        if rows:
            return min(rows, key=lambda row: (row.config["model"] != family, row.label))
    return None


def _ours(row: Row | None) -> str:
    if row is None:
        return MISSING
    seeds = f"{len(row.ok)} seed{'s' * (len(row.ok) != 1)}"
    return f"{escape(row.label)}: {fmean(row.test_top1_pct):.2f} ({escape(row.config['recipe']['budget'])}, {seeds})"
