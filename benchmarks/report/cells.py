"""What a column of a table is made of: where its value is in a row's runs, what it is called, how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import fmean
from typing import Any, Literal

from benchmarks.records.record import RunRecord
from benchmarks.report.rows import Row
from benchmarks.report.text import MISSING, significant

Entry = Mapping[str, Any]
"""A row of a frame: values by the keys of columns."""
Frame = Sequence[Entry]
"""Rows with the same keys."""


@dataclass(frozen=True, slots=True)
class Over:
    """A value of a row: one number for those of its runs, or None where no run has one.

    Attributes:
        summary: makes it from the values that there are, in the order of runs.
        at: where a record has a value, such as `ledger.train_s`, or a function of the record.
        runs: of the row, as it calls them.
    """

    summary: Callable[[list[Any]], Any]
    at: str | Callable[[RunRecord], Any]
    runs: Literal["ok", "records", "tried"] = "ok"

    def __call__(self, row: Row) -> Any:
        """The value of a row."""
        return summarized(self.summary, map(self.of_run, getattr(row, self.runs)))

    def of_run(self, record: RunRecord) -> Any:
        """The value of one run."""
        if callable(self.at):
            return self.at(record)
        part: Any = record
        for name in self.at.split("."):
            part = part.get(name) if isinstance(part, Mapping) else getattr(part, name)
            if part is None:
                return None
        return part


def summarized(summary: Callable[[list[Any]], Any], values: Iterable[Any]) -> Any:
    """A summary of the values that there are; None where there is none."""
    present = [value for value in values if value is not None]
    return summary(present) if present else None


def average(values: Iterable[float | None]) -> float | None:
    """The mean of the values that there are; None where there is none."""
    return summarized(fmean, values)


def word(value: str | None) -> str:
    """A word, or the mark of a missing one."""
    return value or MISSING


def is_known(values: Sequence[Any]) -> bool:
    """Whether some row has a value."""
    return any(value is not None for value in values)


def differs(values: Sequence[Any]) -> bool:
    """Whether rows have different values."""
    return len(set(values)) > 1


@dataclass(frozen=True, slots=True)
class Merged:
    """Several columns in one cell of a markdown table, in the place of the first.

    Attributes:
        title: with the unit, as markdown.
        keys: of the columns.
        text: of their values, as markdown.
    """

    title: str
    keys: tuple[str, ...]
    text: Callable[..., str]


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity of a row, as CSV files, the tables of both kinds of page and figures have it.

    Attributes:
        key: its name in a CSV file, with the unit.
        of: its value of a row.
        title: what stands above it in tables, without the unit; empty where no table has it.
        unit: empty where it has none.
        note: what follows title and unit, from the rows of the table.
        name: what it is called on axes and in sentences, where the title is too short for that.
        text: how a value is written, and how a missing one is.
        beside: columns whose values `text` takes, too.
        better: which direction is; None where neither is.
        shown: whether tables have it, from its value of each row; the page leaves out what no row has in any case.
        sparse: whether the CSV file, too, leaves it out where no row has it: what was first measured after there were
            results.
        after: the column that it follows in tables, where that isn't the one before it in the CSV file.
        merged: what markdown tables have in its place.
        is_word: whether its text is one, and foreign.
    """

    key: str
    of: Callable[[Any], Any]
    title: str = ""
    unit: str = ""
    _: KW_ONLY
    note: Callable[[Sequence[Entry]], str] = lambda rows: ""
    name: str = ""
    text: Callable[..., str] = significant
    beside: tuple[str, ...] = ()
    better: Literal["higher", "lower"] | None = None
    shown: Callable[[Sequence[Any]], bool] = lambda values: True
    sparse: bool = False
    after: str = ""
    merged: Merged | None = None
    is_word: bool = False

    @property
    def called(self) -> str:
        """What people call it, without the unit."""
        return self.name or self.title

    @property
    def axis(self) -> str:
        """The same with the unit."""
        return ", ".join(filter(None, [self.called, self.unit]))

    def heading(self, rows: Sequence[Entry]) -> str:
        """What stands above it in the table of these rows."""
        return ", ".join(filter(None, [self.title, self.unit])) + self.note(rows)

    def cell(self, row: Entry) -> str:
        """Its text in a row."""
        return self.text(*(row[key] for key in (self.key, *self.beside)))


def by_variant(frame: Frame) -> dict[str, list[Entry]]:
    """The rows of each configuration, by its label, in the order of the frame."""
    found: dict[str, list[Entry]] = {}
    for row in frame:
        found.setdefault(row["variant"], []).append(row)
    return found


def in_tables(columns: Sequence[Column], rows: Sequence[Entry]) -> list[Column]:
    """The columns that a table of these rows has, in its order."""
    known = rows[0] if rows else {}
    order = [column for column in columns if column.title and not column.after and column.key in known]
    for column in columns:
        if column.after:
            order.insert([other.key for other in order].index(column.after) + 1, column)
    return [column for column in order if column.shown([row[column.key] for row in rows])]
