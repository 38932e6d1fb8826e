"""The live view: one line per run, redrawn during the sweep."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmarks.sweep.display.base import Display, RunView, SweepPlan
from benchmarks.sweep.display.lines import QuietDisplay, print_ending, steps_words
from fmnist_zoo.cli.output import SteadyConsole, duration, figure, print_lines, shortened, visible

STYLES = {"ok": "green", "waiting": "dim", "stopped": "dim"} | dict.fromkeys(
    ("oom", "timeout", "diverged", "failed"), "bold red"
)
SPEED = "train_img_per_s"
Cell = Callable[[Display, RunView], str | Text]
COLUMNS: tuple[tuple[str, int, int, Cell], ...] = (
    ("seed", 4, 0, lambda _, run: str(run.planned["seed"])),
    ("state", 9, 0, lambda _, run: Text(run.state, STYLES.get(run.state, "cyan"))),
    ("epoch", 7, 50, lambda _, run: "{epochs_done}/{num_epochs}".format_map(run.trained) if run.trained else "-"),
    ("loss", 6, 90, lambda _, run: _of(run.trained, "train_loss", ".4f")),
    ("val %", 5, 60, lambda _, run: _of(run.trained, "val_top1_pct", ".2f")),
    ("test %", 6, 50, lambda _, run: _of(run.record.metrics if run.record else None, "test_top1_pct", ".2f")),
    ("img/s", 9, 80, lambda _, run: _of(run.record.throughput if run.record else run.trained, SPEED, ",.0f")),
    ("time", 8, 70, lambda sweep, run: duration(sweep.run_elapsed_s(run))),
    ("left", 8, 60, lambda sweep, run: duration(sweep.run_left_s(run))),
)
"""Title, width, least terminal width and content; waiting runs show the first two.

Epochs are completed ones, loss is the training loss, `val %` and `test %` are top-1 accuracies, `left` is training time
only; img/s is the speed so far, at the end that of the steady state."""


def _of(figures: Mapping[str, Any] | None, name: str, form: str) -> str:
    return figure((figures or {}).get(name), form)


class LiveDisplay(QuietDisplay):
    """One line per run, during the sweep; the final state stays on screen.

    Redrawn at events, and once a second for its clocks. Problems are printed above it.
    """

    def __init__(self, console: Console | None = None, *, ticks: bool = True, **options: Any) -> None:
        console = console or SteadyConsole(sys.stdout)
        super().__init__(console, console, **options)
        self._note = ""
        self._live = _Still(console=console, get_renderable=self._draw, auto_refresh=ticks, refresh_per_second=1)

    def sweep_started(self, plan: SweepPlan) -> None:
        self.callback(self._live.stop)
        super().sweep_started(plan)
        self._live.start(refresh=True)

    def show(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "sweep_finished":
            self.close()
            print_ending(self, self._console, event)
            return
        super().show(event)
        if event["event"] in ("run_started", "note"):
            self._note = event.get("text", "")
        if event["event"] == "note" and not self.plan.runs:  # models are being tried
            print_lines(self._console, event["text"])
        waits = (
            event["event"] == "steps" and self._live.auto_refresh
        )  # drawn within the next second: drawing takes time
        if self._live.is_started and not waits:
            self._live.is_still = False
            self._live.refresh()
            self._live.is_still = event.get("phase") == "measuring"

    def _stop(self) -> None:
        super()._stop()
        self._live.is_still, self._note = False, ""  # for the final state, which stays on screen

    def _draw(self) -> Group:
        width, height = self._console.size
        # Another thread may draw, so use the runs only.
        trained = [run.trained for run in self.runs if run.state == "training" and run.trained]
        steps = [steps_words(figures) for figures in trained if figures["step"] is not None]
        return view(self, width, None if self.is_over else height, *(steps or [self._note]))


class _Still(Live):
    """Can be paused: on two cores even a millisecond of drawing disturbs speed measurements."""

    is_still = False

    def refresh(self) -> None:
        if not self.is_still:
            super().refresh()


def view(sweep: Display, width: int, height: int | None = None, note: str = "") -> Group:
    """State of a sweep, its runs or as many as fit around the current one, and a note."""
    num_runs, begun = len(sweep.runs), sum(run.state != "waiting" for run in sweep.runs)
    room = num_runs if height is None else max(1, min(num_runs, height - 4))
    first = max(0, min(begun - 1 - room // 2, num_runs - room))
    columns = [(title, cells, cell) for title, cells, least, cell in COLUMNS if least <= width]
    longest = max((cell_len(visible(run.planned["variant"])) for run in sweep.runs), default=0)
    name_width = min(width - sum(cells + 1 for _, cells, _ in columns), max(3, longest))
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for title, cells, *_ in (("run", name_width), *columns):
        table.add_column(title, width=cells, no_wrap=True, justify="left" if title in ("run", "state") else "right")
    for run in sweep.runs[first : first + room]:
        told = columns[:2] if run.state == "waiting" else columns
        name = shortened(visible(run.planned["variant"]), name_width)
        table.add_row(Text(name), *(cell(sweep, run) for _, _, cell in told))
    unseen = f"; {first} runs above, {num_runs - first - room} below" if room < num_runs else ""
    lines = [Text(line, no_wrap=True, overflow="ellipsis") for line in (_title(sweep) + unseen, visible(note))]
    return Group(lines[0], table, *lines[1 : 1 + bool(note)])


def _title(sweep: Display) -> str:
    done, of, bad = len(sweep.records), len(sweep.runs), sum(record.status != "ok" for record in sweep.records)
    words = [f"{done} of {of} done" + (f", {bad} not ok" if bad else "")]
    if sweep.plan.skipped:
        words.append(f"{len(sweep.plan.skipped)} already done")
    words.append(f"{duration(sweep.elapsed_s)} elapsed")
    if done < of and not sweep.is_over:
        words.append(f"about {duration(sweep.left_s())} left".replace("about - left", "time left: -"))
        if count := sweep.plan.num_comparisons:
            words.append(f"{count} comparison{'s' if count > 1 else ''} of arms to follow")
    return "; ".join(words)
