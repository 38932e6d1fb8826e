"""The displays on real terminals and pipes."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from benchmarks.sweep.config import RunConfig
from benchmarks.sweep.display import Display, JsonDisplay, LiveDisplay, PlainDisplay, make_display
from benchmarks.sweep.plan import make_plan as make_real_plan
from tests.benchmarks.sample_sweep import END, make_plan, tell_run
from tests.benchmarks.test_runner import good_result, interrupt, runner

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """A pseudo-terminal of so many columns and rows."""

    def __init__(self, columns: int, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.stream: TextIO = os.fdopen(slave, "w", encoding="utf-8")

    def display(self) -> Display:
        """The display for it, as standard output."""
        self._monkeypatch.setattr(sys, "stdout", self.stream)
        return make_display()

    def shown(self) -> str:
        """What was written to it since it was last asked."""
        self.stream.flush()
        os.set_blocking(self._master, False)
        parts: list[bytes] = []
        try:
            while part := os.read(self._master, 2**16):
                parts.append(part)
        except BlockingIOError:
            pass
        return b"".join(parts).decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    found = Terminal(100, 40, monkeypatch)
    for name in ("CI", "NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_INTERACTIVE", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    yield found
    found.close()


def test_ctrl_c_leaves_the_terminal_in_order(terminal: Terminal, tmp_path: Path) -> None:
    plan = make_real_plan(RunConfig(models=("mlp",), seeds=3, device="cpu"))
    display = terminal.display()
    assert isinstance(display, LiveDisplay)
    with display:
        assert runner(plan, tmp_path, [good_result, interrupt], [], display).run().interrupted
    shown = terminal.shown()
    assert shown.count(HIDDEN) == shown.count(SHOWN) == 1 and shown.index(HIDDEN) < shown.index(SHOWN)
    last = re.sub(r"\x1b\[[0-9;]*m", "", shown[shown.rindex("1 of 3 done") :])
    assert re.findall(r"mlp +(\d) (\w+)", last) == [("0", "ok"), ("1", "stopped"), ("2", "waiting")]
    assert "about" not in last
    assert sys.stdout is terminal.stream


@pytest.mark.parametrize(("name", "value"), [("CI", "true"), ("TERM", "dumb")])
def test_a_terminal_that_cannot_or_should_not_be_drawn_over_gets_plain_lines(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with terminal.display() as display:
        display.sweep_started(make_plan("mlp"))
        tell_run(display, "mlp", error="it broke")
        display.sweep_finished(**END)
    shown = terminal.shown()
    assert "mlp seed 0: failed: it broke" in shown and "\x1b" not in shown


def test_what_others_print_stands_above_the_view_and_does_not_break_it(terminal: Terminal) -> None:
    with terminal.display() as display:
        display.sweep_started(make_plan("mlp"))
        display.run_started("mlp", 0)
        print("a warning of a library")
        tell_run(display, "mlp")
        display.sweep_finished(**END)
    shown = terminal.shown()
    assert shown.index("a warning of a library") < shown.rindex("1 of 1 done")


SCRIPT = """
import sys
from benchmarks.sweep.display import JsonDisplay, PlainDisplay
from tests.benchmarks.sample_sweep import END, make_plan, make_result, tell_run
kind = {"plain": PlainDisplay, "json": JsonDisplay}[sys.argv[1]]
with kind() as display:
    display.sweep_started(make_plan("mlp", seeds=3, skipped=(make_result("vit"),)))
    sys.stdin.readline()
    for seed in range(3):
        tell_run(display, "mlp", seed)
    display.sweep_finished(**END)
print("its end", file=sys.stderr)
print("and a word more")
"""


@pytest.mark.parametrize("kind", ["plain", "json"])
def test_a_reader_that_leaves_ends_nothing(kind: str) -> None:
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate("go on\n", timeout=60)
    assert process.returncode == 0
    assert errors == "standard output was closed; the sweep continues\nits end\n"


def test_a_display_that_shows_nothing_follows_all_the_same() -> None:
    display = Display()
    with display:
        display.sweep_started(make_plan("mlp"))
        tell_run(display, "mlp")
        display.sweep_finished(**END)
    assert [record.variant for record in display.records] == ["mlp"]
    assert issubclass(JsonDisplay, Display) and issubclass(PlainDisplay, Display)
