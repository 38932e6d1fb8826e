"""What a person sees of a sweep: a live table on a terminal, plain lines elsewhere; the same words in both."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from benchmarks.record import RunRecord


class Display:
    """Plain lines, one an event, with no control codes."""

    def __init__(self, num_runs: int, console: Console | None = None) -> None:
        self.console = console or Console(file=sys.stdout, soft_wrap=True)
        self._num_runs = num_runs
        self._finished = 0
        self._running = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run_started(self, label: str, seed: int) -> None:
        """A run begins."""
        self._running = f"{label} seed {seed}"
        self.say(f"[{self._finished + 1}/{self._num_runs}] {self._running}: starting")

    def epoch(self, stats: Mapping[str, Any]) -> None:
        """An epoch of the running run ended."""
        self.say(f"  {self._running}: {epoch_words(stats)}")

    def run_finished(self, record: RunRecord) -> None:
        """A run ended, well or not."""
        self._finished += 1
        self.say(f"  {self._running}: {result_words(record)}")

    def say(self, text: str) -> None:
        """A line of text, as it is."""
        self.console.print(text, markup=False, highlight=False)


class LiveDisplay(Display):
    """A table of the sweep that grows in place, with what the running run does as its last row."""

    def __init__(self, num_runs: int, console: Console | None = None) -> None:
        super().__init__(num_runs, console or Console())
        self._rows: list[tuple[str, str, str]] = []
        self._now = ""
        self._live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running = ""
        self._live.stop()

    def run_started(self, label: str, seed: int) -> None:
        self._running, self._now = f"{label} seed {seed}", "starting"

    def epoch(self, stats: Mapping[str, Any]) -> None:
        self._now = epoch_words(stats)

    def run_finished(self, record: RunRecord) -> None:
        self._finished += 1
        self._rows.append((self._running, record.status, result_words(record)))
        self._running = ""

    def _table(self) -> Table:
        table = Table("run", "status", "what", title=f"{self._finished} of {self._num_runs} runs done")
        for row in self._rows:
            table.add_row(*row)
        if self._running:
            table.add_row(self._running, "running", self._now)
        return table


def make_display(num_runs: int) -> Display:
    """The live table on a terminal, plain lines elsewhere (a file, a pipe, CI)."""
    return LiveDisplay(num_runs) if Console().is_terminal else Display(num_runs)


def epoch_words(stats: Mapping[str, Any]) -> str:
    """One epoch in words: losses and accuracies of training and validation, and the time so far."""
    words = [
        f"epoch {stats['epoch']}",
        f"training loss {stats['train_loss']:.4f}, accuracy {stats['train_top1_pct']:.2f}%",
    ]
    if stats["val_loss"] is not None:
        words.append(f"validation loss {stats['val_loss']:.4f}, accuracy {stats['val_top1_pct']:.2f}%")
    return "; ".join([*words, f"{stats['elapsed_s']:.1f} s of training"])


def result_words(record: RunRecord) -> str:
    """A run's end in words: its scores, or what went wrong."""
    if record.metrics is None or record.throughput is None or not record.history:
        return f"{record.status}: {(record.error or 'no metrics').splitlines()[0]}"
    return (
        f"training loss {record.history[-1]['train_loss']:.4f}, test loss {record.metrics['test_nll']:.4f}, "
        f"test accuracy {record.metrics['test_top1_pct']:.2f}%; "
        f"{record.throughput['train_img_per_s']:,.0f} img/s training; {record.ledger['wall_s']:.1f} s in all"
    )
