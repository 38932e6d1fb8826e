"""Column definitions: the source of a value in a row's runs, its title, unit and format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import fmean
from typing import Any, Literal

from benchmarks.records.record import RunRecord
from benchmarks.report.rows import Row
from benchmarks.report.text import MISSING, significant

Entry = Mapping[str, Any]
"""One row of a frame: values by column key."""
Frame = Sequence[Entry]
"""Rows with the same keys."""


@dataclass(frozen=True, slots=True)
class Over:
    """One value summarized over the runs of a row; None if no run has it.

    Attributes:
        summary: reduces the known values, in the order of runs.
        at: path of the value in a record, such as `ledger.train_s`, or a function of the record.
        runs: the attribute of `Row` that selects runs.
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
    """A summary of the known values; None if there are none."""
    present = [value for value in values if value is not None]
    return summary(present) if present else None


def average(values: Iterable[float | None]) -> float | None:
    """The mean of the known values; None if there are none."""
    return summarized(fmean, values)


def word(value: str | None) -> str:
    """A word, or a dash if it is missing."""
    return value or MISSING


def is_known(values: Sequence[Any]) -> bool:
    """Whether any row has a value."""
    return any(value is not None for value in values)


def differs(values: Sequence[Any]) -> bool:
    """Whether the values differ."""
    return len(set(values)) > 1


@dataclass(frozen=True, slots=True)
class Merged:
    """Several columns merged into one cell of a Markdown table, at the position of the first.

    Attributes:
        title: heading with the unit, as Markdown.
        keys: keys of the merged columns.
        text: formats their values, as Markdown.
    """

    title: str
    keys: tuple[str, ...]
    text: Callable[..., str]


@dataclass(frozen=True, slots=True)
class Column:
    """One quantity of a row, for CSV files, Markdown tables, the HTML page and figures.

    Attributes:
        key: column name in CSV files, with the unit.
        of: the value for a row.
        title: heading in tables, without the unit; empty for columns of CSV files only.
        unit: empty if there is none.
        note: appended to the heading, computed from the rows of the table.
        name: long name for axes and sentences, if the title is too short.
        text: formats a value, missing ones included.
        beside: further columns whose values `text` takes.
        better: the better direction, if there is one.
        shown: whether tables show it, given its value in each row; the HTML page hides empty columns in any case.
        sparse: omit it from CSV files, too, if no row has it: for quantities added after the first results.
        after: the column that it follows in tables, if not the preceding one of the CSV file.
        merged: the merged cell that replaces it in Markdown tables.
        is_word: whether its text is a word from a record, which is escaped.
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
        """Long name without the unit."""
        return self.name or self.title

    @property
    def axis(self) -> str:
        """Axis label: long name and unit."""
        return ", ".join(filter(None, [self.called, self.unit]))

    def heading(self, rows: Sequence[Entry]) -> str:
        """Heading in a table of these rows."""
        return ", ".join(filter(None, [self.title, self.unit])) + self.note(rows)

    def cell(self, row: Entry) -> str:
        """Formatted value in a row."""
        return self.text(*(row[key] for key in (self.key, *self.beside)))


def by_variant(frame: Frame) -> dict[str, list[Entry]]:
    """Rows grouped by variant label, in the order of the frame."""
    found: dict[str, list[Entry]] = {}
    for row in frame:
        found.setdefault(row["variant"], []).append(row)
    return found


def in_tables(columns: Sequence[Column], rows: Sequence[Entry]) -> list[Column]:
    """The columns shown in a table of these rows, in table order."""
    known = rows[0] if rows else {}
    order = [column for column in columns if column.title and not column.after and column.key in known]
    for column in columns:
        if column.after:
            order.insert([other.key for other in order].index(column.after) + 1, column)
    return [column for column in order if column.shown([row[column.key] for row in rows])]
