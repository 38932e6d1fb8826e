"""The live view as lines of text: a pure function of the sweep and the terminal's size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from benchmarks.display.state import RunView, SweepState
from benchmarks.display.words import duration, error_line, figure, visible

Align = Literal["left", "right"]
Runs = Sequence[RunView]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What a run's line has beside its name: `rank` says which columns a narrow terminal lacks, the highest first."""

    title: str
    width: int
    cell: Callable[[SweepState, RunView], str]
    rank: int
    align: Align = "right"


COLUMNS = (
    Column(title="state", width=9, rank=0, align="left", cell=lambda sweep, run: run.state),
    Column(title="epoch", width=5, rank=1, cell=lambda sweep, run: _epoch(run)),
    Column(title="loss", width=6, rank=6, cell=lambda sweep, run: figure(_of_epoch(run, "train_loss"), ".4f")),
    Column(title="val %", width=5, rank=4, cell=lambda sweep, run: figure(_of_epoch(run, "val_top1_pct"), ".2f")),
    Column(title="test %", width=6, rank=2, cell=lambda sweep, run: figure(_test_top1_pct(run), ".2f")),
    Column(title="img/s", width=7, rank=7, cell=lambda sweep, run: figure(_train_img_per_s(run), ",.0f")),
    Column(title="time", width=7, rank=3, cell=lambda sweep, run: duration(sweep.run_elapsed_s(run))),
    Column(title="left", width=7, rank=5, cell=lambda sweep, run: duration(sweep.run_left_s(run))),
)
"""Loss is that of training, `val %` and `test %` are top-1 accuracies, `left` is training alone. While a run trains,
img/s is its speed so far; when it has ended, that of the steady state."""

LEAST_NAME = 16
"""Cells for a run's name, before columns give way to it."""

STYLES = {"ok": "green", "waiting": "dim", "stopped": "dim"} | dict.fromkeys(
    ("oom", "timeout", "diverged", "failed"), "bold red"
)
"""Of a state; those of a run that is under way are cyan."""


def frame(sweep: SweepState, *, width: int, height: int | None, note: str | None = None) -> list[Text]:
    """The lines to show, none longer than the terminal is wide.

    Args:
        sweep: what is shown.
        width: cells of the terminal.
        height: lines of the terminal; None shows every run. With too few, the runs around the running one are shown
            and the others counted.
        note: what is being done beside the runs.
    """
    columns, name_width = _columns(sweep, width)
    head = [Text(_title(sweep)), _header(columns, name_width)]
    foot: list[Text] = [] if note is None else [Text(visible(note), style="cyan")]
    room = None if height is None else max(1, height - 1 - len(head) - len(foot))
    before, shown, after = _window(sweep.runs, room)
    lines = [
        *head,
        *([Text(_earlier(before), style="dim")] if before else []),
        *(_line(sweep, run, columns, name_width) for run in shown),
        *([Text(f"... {len(after)} more to come", style="dim")] if after else []),
        *foot,
    ]
    for line in lines:
        line.rstrip()
        line.truncate(width, overflow="ellipsis")
    return lines


def _columns(sweep: SweepState, width: int) -> tuple[list[Column], int]:
    """The columns that fit, and the cells left for names."""
    longest = max((cell_len(visible(run.planned.name)) for run in sweep.runs), default=0)
    columns = list(COLUMNS)
    while columns:
        rest = width - sum(column.width + 1 for column in columns)
        if rest >= min(LEAST_NAME, longest):
            return columns, min(rest, max(longest, 3))
        columns.remove(max(columns, key=lambda column: column.rank))
    return columns, width


def _window(runs: Runs, room: int | None) -> tuple[Runs, Runs, Runs]:
    """Runs above what is shown, shown, and below; a line that counts takes one of the room, too."""
    if room is None or len(runs) <= room:
        return (), runs, ()
    begun = sum(run.state != "waiting" for run in runs)
    newest = max(1, begun)
    if newest <= room - 1:  # all that has begun, and as many of the others as fit
        return (), runs[: room - 1], runs[room - 1 :]
    below = newest < len(runs) and room > 2
    first = newest - max(1, room - 1 - below)
    return runs[:first] if room > 1 else (), runs[first:newest], runs[newest:] if below else ()


def _title(sweep: SweepState) -> str:
    done = sweep.records
    bad = sum(record.status != "ok" for record in done)
    words = [f"{len(done)} of {len(sweep.runs)} done" + (f", {bad} not ok" if bad else "")]
    if sweep.plan.num_skipped:
        words.append(f"{sweep.plan.num_skipped} done before")
    if sweep.elapsed_s is not None:
        words.append(f"{duration(sweep.elapsed_s)} so far")
    if len(done) < len(sweep.runs) and not sweep.is_over:
        left_s = sweep.left_s()
        words.append("time left: -" if left_s is None else f"about {duration(left_s)} left")
        if count := sweep.plan.num_comparisons:
            words.append(f"{count} comparison{'s' if count > 1 else ''} of arms after that")
    return "; ".join(words)


def _header(columns: Sequence[Column], name_width: int) -> Text:
    line = _cell("run", name_width, "left")
    for column in columns:
        line.append(" ").append_text(_cell(column.title, column.width, column.align))
    line.stylize("bold")
    return line


def _line(sweep: SweepState, run: RunView, columns: Sequence[Column], name_width: int) -> Text:
    """A run; one that went wrong says how in the place of its figures."""
    line = _name(run, name_width)
    style = STYLES.get(run.state, "cyan")
    if run.record is not None and run.record.status != "ok":
        line.append(" ").append_text(_cell(run.state, COLUMNS[0].width, "left", style))
        return line.append(f" {error_line(run.record)}", style="red")
    for column in columns:
        text = column.cell(sweep, run) if run.state != "waiting" or column.rank == 0 else ""
        own = style if column.rank == 0 else ""
        line.append(" ").append_text(_cell(text, column.width, column.align, own))
    if run.state == "waiting":
        line.stylize("dim")
    return line


def _name(run: RunView, width: int) -> Text:
    """The run's name; where it is too long, its variant lacks its middle: what tells rows apart is at its ends."""
    seed, variant = f" seed {run.planned.seed}", visible(run.planned.variant)
    room = max(1, width - len(seed))
    if cell_len(variant) > room:
        tail = variant[-((room - 1) // 2) :] if room > 2 else ""
        while cell_len(tail) > (room - 1) // 2:
            tail = tail[1:]
        variant = f"{set_cell_size(variant, room - 1 - cell_len(tail))}…{tail}"
    return _cell(variant + seed, width, "left")


def _cell(text: str, width: int, align: Align, style: str = "") -> Text:
    cell = Text(text, style=style)
    cell.truncate(width, overflow="ellipsis")
    cell.align(align, width)
    return cell


def _earlier(runs: Sequence[RunView]) -> str:
    counts = Counter(run.state for run in runs)
    return f"... {len(runs)} before: " + ", ".join(f"{count} {state}" for state, count in counts.most_common())


def _epoch(run: RunView) -> str:
    if run.epoch is None:
        return "-" if run.num_epochs is None else f"-/{run.num_epochs}"
    return f"{run.epoch['epoch']}/{run.num_epochs}"


def _of_epoch(run: RunView, name: Literal["train_loss", "val_top1_pct"]) -> float | None:
    return None if run.epoch is None else run.epoch[name]


def _test_top1_pct(run: RunView) -> float | None:
    return None if run.record is None or run.record.metrics is None else run.record.metrics["test_top1_pct"]


def _train_img_per_s(run: RunView) -> float | None:
    if run.record is not None:
        return None if run.record.throughput is None else run.record.throughput["train_img_per_s"]
    return run.train_img_per_s
