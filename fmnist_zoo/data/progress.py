"""Download progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import rich.progress
from rich.console import Console

_MB = 1e6


@dataclass(frozen=True, slots=True)
class Reporter:
    """Reports downloads; silent unless `enabled`."""

    enabled: bool = True
    console: Console = field(default_factory=lambda: Console(stderr=True))

    def say(self, line: str) -> None:
        """Write a plain line, without markup or wrapping."""
        if self.enabled:
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def download(self, what: str, total_bytes: int | None) -> Generator[Callable[[int], None], None, None]:
        """Show one download; yields a function to call with the number of bytes just received."""
        if self.enabled and self.console.is_terminal:
            columns = (
                rich.progress.TextColumn("{task.description}", markup=False),
                rich.progress.BarColumn(),
                rich.progress.DownloadColumn(),
                rich.progress.TransferSpeedColumn(),
                rich.progress.TimeRemainingColumn(),
            )
            with rich.progress.Progress(*columns, console=self.console) as progress:
                task = progress.add_task(what, total=total_bytes)
                yield lambda num_bytes: progress.advance(task, num_bytes)
            return
        size = "" if total_bytes is None else f" ({total_bytes / _MB:.1f} MB)"
        self.say(f"fetching {what}{size}")
        started_s = time.monotonic()
        yield lambda _: None
        self.say(f"fetched {what} in {time.monotonic() - started_s:.1f} s")
