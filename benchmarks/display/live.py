"""The live view: drawn over again as the sweep goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType

from benchmarks.display.base import Display
from benchmarks.display.frame import frame
from benchmarks.display.output import live_console, print_line
from benchmarks.display.plan import SweepEnd
from benchmarks.display.state import Phase
from benchmarks.display.words import summary, visible
from benchmarks.record import RunRecord
from fmnist_zoo.history import EpochStats


class LiveDisplay(Display):
    """A line for each run, from the start of the sweep until this is left, which leaves all of them standing.

    It is drawn when something happens, and once a second for the clocks in it. While speed is being measured it stands
    still: on two cores even a millisecond of drawing is in somebody's way.

    Args:
        console: where; the terminal if not given.
        clock: seconds, monotonic.
        tick_s: between two drawings; None draws only when something happens.
    """

    def __init__(
        self,
        console: Console | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        tick_s: float | None = 1.0,
    ) -> None:
        super().__init__(clock=clock)
        self._console = console or live_console()
        self._note: str | None = None
        self._drawn: list[int] = []
        self._live = Live(
            console=self._console, get_renderable=self._draw, auto_refresh=False, vertical_overflow="crop"
        )
        self._left = threading.Event()
        self._ticker = None if tick_s is None else threading.Thread(target=self._tick, args=(tick_s,), daemon=True)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, value, trace)
        self._end()

    def on_sweep_started(self) -> None:
        self._live.start()
        self.refresh()
        if self._ticker is not None:
            self._ticker.start()

    def on_run_started(self) -> None:
        self._note = None
        self.refresh()

    def on_phase(self, phase: Phase) -> None:  # noqa: ARG002
        self.refresh()

    def on_epoch(self, stats: EpochStats) -> None:  # noqa: ARG002
        self.refresh()

    def on_run_finished(self, record: RunRecord) -> None:  # noqa: ARG002
        self.refresh()

    def say(self, text: str) -> None:
        self._note = text
        self.refresh()

    def warn(self, text: str) -> None:
        print_line(self._console, visible(text))  # above the view, where it stays

    def sweep_finished(self, end: SweepEnd) -> None:
        self._end()
        bad = [record for record in self.sweep.all_records if record.status != "ok"]  # their lines above may be cut
        print_line(self._console, summary(self.sweep, end.machine_dir, each=bad))

    def refresh(self) -> None:
        """Draw it now."""
        if self._live.is_started:
            self._make_room()
            self._live.refresh()

    def _end(self) -> None:
        """Leave the last state standing, with every run in it, and give the cursor back."""
        self.sweep.stop()
        self._left.set()
        if self._ticker is not None and self._ticker.is_alive():
            self._ticker.join()
        self._live.stop()

    def _draw(self) -> Group:
        size = self._console.size
        lines = frame(
            self.sweep,
            width=size.width,
            height=None if self.sweep.is_over else size.height,
            note=None if self.sweep.is_over else self._note,
        )
        self._drawn = [line.cell_len for line in lines]
        return Group(*lines)

    def _make_room(self) -> None:
        """On a terminal that has become narrower, go up by the lines that its wrapping has added to the last drawing.

        Rich goes up by as many lines as it drew, and would leave the uppermost of them behind.
        """
        width = self._console.size.width
        added = sum((cells - 1) // width for cells in self._drawn if cells)
        if added:
            up = (ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)
            self._console.control(Control(ControlType.CARRIAGE_RETURN, *up * added))

    def _tick(self, tick_s: float) -> None:
        while not self._left.wait(tick_s):
            run = self.sweep.running
            if run is not None and run.state != "measuring":
                self.refresh()
