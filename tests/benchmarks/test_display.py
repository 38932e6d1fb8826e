"""What a person sees of a sweep: how far it is, how long it will take, what went wrong, in any terminal."""

import io
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from benchmarks.sweep.display import (
    Display,
    JsonDisplay,
    LiveDisplay,
    PlainDisplay,
    QuietDisplay,
    can_be_live,
    make_display,
)
from benchmarks.sweep.display.lines import result_line
from benchmarks.sweep.display.live import view
from fmnist_zoo.cli.output import duration, plain_console, visible
from tests.benchmarks.sample_sweep import END, Clock, make_epoch, make_plan, make_result, make_steps, tell_run

NASTY = "[red]a[/red] \x1b[31m\x1b[2J :warning: \u202eb"


def lines(display: Display, *, width: int = 110, height: int | None = None, note: str = "") -> list[str]:
    text = io.StringIO()
    Console(file=text, width=width).print(view(display, width, height, note))
    return text.getvalue().splitlines()


def plain(**options: Any) -> tuple[PlainDisplay, io.StringIO]:
    text = io.StringIO()
    return PlainDisplay(plain_console(text), **options), text


def test_a_line_for_each_run_says_where_it_is() -> None:
    clock = Clock()
    display = Display(clock=clock)
    display.sweep_started(make_plan("mlp", "cnn", "lstm", "vit"))
    tell_run(display, "mlp")
    tell_run(display, "cnn", error="RuntimeError: it broke\nand its log")
    display.run_started("lstm", 0)
    display.worker_event({"phase": "training"})
    clock.wait(22.0)
    display.worker_event(make_epoch(2))
    clock.wait(6.0)
    title, header, mlp, cnn, lstm, vit = lines(display)
    assert title.startswith("2 of 4 done, 1 not ok; 0:00:28 elapsed")
    assert header.split() == ["run", "seed", "state", "epoch", "loss", "val", "%", "test", "%", "img/s", "time", "left"]
    assert mlp.split() == ["mlp", "0", "ok", "5/5", "0.1000", "89.00", "89.51", "41,234", "0:01:00", "-"]
    assert cnn.split()[:3] == ["cnn", "0", "failed"]
    # 200 of 500 steps in 20 s of training: 30 s more, of which 6 have passed.
    assert lstm.split()[2:] == ["training", "2/5", "0.2500", "86.00", "-", "2,500", "0:00:28", "0:00:24"]
    assert vit.split() == ["vit", "0", "waiting"]


@pytest.mark.parametrize(
    ("budget", "stats", "epochs", "left"),
    [
        ("epochs:5", make_epoch(1), "1/5", "0:00:40"),
        ("flops:1e12", make_epoch(1, epochs=3), "1/3", "0:00:20"),
        ("seconds:25", make_epoch(1, scheduled_steps=250), "1/3", "0:00:15"),
        ("seconds:10", make_epoch(1, scheduled_steps=100), "1/1", "-"),
        ("epochs:5", make_epoch(1, elapsed_s=0.0), "1/5", "-"),
    ],
)
def test_the_time_left_of_a_run_follows_from_its_budget(budget: str, stats: Any, epochs: str, left: str) -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan("mlp", budget=budget))
    display.run_started("mlp", 0)
    display.worker_event({"phase": "training"})
    assert lines(display)[2].split()[-1] == "-"  # before the first epoch nobody knows
    display.worker_event(stats)
    words = lines(display)[2].split()
    assert words[3] == epochs and words[-1] == left
    display.worker_event({"phase": "testing"})
    assert lines(display)[2].split()[-1] == "-"  # it is over, or overdue: never 0


def test_what_is_overdue_is_unknown_and_not_zero() -> None:
    clock = Clock()
    display = Display(clock=clock)
    display.sweep_started(make_plan("mlp"))
    display.run_started("mlp", 0)
    display.worker_event(make_epoch(4))
    clock.wait(11.0)
    assert lines(display)[2].split()[-1] == "-" and "time left: -" in lines(display)[0]


def test_the_time_left_of_the_sweep_is_unknown_until_something_is_known() -> None:
    clock = Clock()
    display = Display(clock=clock)
    display.sweep_started(make_plan("mlp", "cnn", seeds=2, num_comparisons=1))
    assert "time left: -; 1 comparison of arms to follow" in lines(display)[0]
    display.run_started("mlp", 0)
    clock.wait(50.0)
    display.run_finished(make_result("mlp", 0, wall_s=50.0))
    assert display.left_s() == 150.0  # the others like this one, as far as anybody knows
    display.run_started("mlp", 1)
    clock.wait(20.0)
    assert display.left_s() == 130.0
    display.run_finished(make_result("mlp", 1, wall_s=20.0, error="too bad"))  # says nothing of how long one takes
    display.run_started("cnn", 0)
    display.run_finished(make_result("cnn", 0, wall_s=200.0))
    assert "about 0:03:20 left" in lines(display)[0]  # the second seed of cnn will take what the first took
    display.run_started("cnn", 1)
    display.run_finished(make_result("cnn", 1, wall_s=200.0))
    assert display.left_s() is None and "left" not in lines(display)[0]


def test_earlier_records_of_the_machine_say_how_long_a_run_takes() -> None:
    earlier = [
        make_result("mlp", wall_s=50.0),
        make_result("mlp", wall_s=30.0),
        make_result("mlp", error="x", wall_s=1.0),
    ]
    for minute, record in enumerate(earlier):
        record.run_id = f"{minute}"
    other = make_result("of another sweep", wall_s=900.0)
    display = Display(clock=Clock())
    display.sweep_started(
        make_plan("mlp", "cnn", earlier=(earlier[1], earlier[0], earlier[2], other), skipped=(other,))
    )
    assert display.left_s() == 60.0 and "1 already done" in lines(display)[0]


def test_with_too_few_rows_those_around_the_running_one_are_shown_and_the_others_counted() -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan("mlp", seeds=30))
    for seed in range(20):
        tell_run(display, "mlp", seed, error="x" if seed == 3 else None)
    display.run_started("mlp", 20)
    shown = lines(display, height=11, note="something else")
    assert len(shown) <= 10 and shown[-1] == "something else"
    assert shown[0].startswith("20 of 30 done, 1 not ok") and shown[0].endswith("; 17 runs above, 6 below")
    assert [line.split()[1] for line in shown[2:-1]] == ["17", "18", "19", "20", "21", "22", "23"]
    assert len(lines(display)) == 32


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=12, unique=True),
    ended=st.integers(0, 12),
    error=st.text(),
    note=st.text(max_size=80),
    width=st.integers(20, 200),
    height=st.integers(5, 30),
)
def test_the_view_fits_any_terminal_whatever_the_names_and_errors(
    names: list[str], ended: int, error: str, note: str, width: int, height: int
) -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan(*names))
    for index, name in enumerate(names[:ended]):
        tell_run(display, name, error=error if index % 2 else None)
    if ended < len(names):
        display.run_started(names[ended], 0)
    drawn = lines(display, width=width, height=height, note=note)
    assert len(drawn) < height and all(cell_len(line) <= width and line.isprintable() for line in drawn)
    running = min(ended, len(names) - 1)
    state = "starting" if ended < len(names) else "ok" if running % 2 == 0 else "failed"
    assert any(state in line for line in drawn)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_narrow_terminals_lack_columns_and_break_no_line(width: int) -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan("lstm rows_per_step=2 optimizer=adamw lr=0.003", "mlp"))
    tell_run(display, "lstm rows_per_step=2 optimizer=adamw lr=0.003")
    header, lstm, mlp = lines(display, width=width)[1:4]
    assert lstm.startswith("lstm ro") and "r=0.003    0 ok" in lstm and ("…" in lstm) == (width < 100)
    assert ("img/s" in header, "loss" in header) == (width >= 80, width >= 90)
    assert all(title in header for title in ("epoch", "val %", "test %", "left")) and mlp.startswith("mlp")


def test_names_and_errors_are_shown_as_they_are_and_never_obeyed() -> None:
    spelled = r"[red]a[/red] \x1b[31m\x1b[2J :warning: \u202eb"
    assert visible(NASTY) == spelled
    for display, text in (plain(), live()):
        with display:
            display.sweep_started(make_plan(NASTY))
            tell_run(display, NASTY, error=NASTY)
            display.say(NASTY)
            display.warn(NASTY)
            display.sweep_finished(**END)
        printed = text.getvalue()
        assert printed.count(spelled) > 3
        assert "\x1b[31ma" not in printed and "\x1b[2J" not in printed and "\u202e" not in printed


def live(width: int = 140, variables: Mapping[str, str] | None = None) -> tuple[LiveDisplay, io.StringIO]:
    text, environment = io.StringIO(), {"TERM": "xterm", **(variables or {})}
    console = Console(file=text, force_terminal=True, width=width, height=10, _environ=environment)
    return LiveDisplay(console, clock=Clock(), ticks=False), text


def test_plain_lines_have_no_control_codes_and_say_it_in_words() -> None:
    display, text = plain(clock=Clock())
    with display:
        display.sweep_started(make_plan("mlp", "cnn", skipped=(make_result("vit"),) * 3))
        tell_run(display, "mlp")
        tell_run(display, "cnn", error="WorkerDiedError: signal 11\nits log")
        display.say("mlp: comparing 2 arms")
        display.sweep_finished(**END)
    printed = text.getvalue()
    assert all(letter.isprintable() or letter == "\n" for letter in printed)
    scores = "training loss 0.5000, accuracy 81.00%; validation loss 0.6000, accuracy 85.00%"
    assert printed.splitlines()[:3] == [
        "already done: 3 of 5 runs",
        "[1/2] mlp seed 0: starting",
        f"  mlp seed 0: epoch 1 of 5; {scores}; 10.0 s of training, 2,500 img/s; about 0:00:40 left",
    ]
    assert "[2/2] cnn seed 0: starting; about 0:01:00 left in total" in printed
    assert "  cnn seed 0: failed: WorkerDiedError: signal 11\n" in printed
    assert "mlp: comparing 2 arms\n\n4 of 5 runs ok\n" in printed
    assert printed.endswith("\ntables: results/here/README.md\n")


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_the_live_view_leaves_all_runs_standing_and_its_colors_heed_no_color(variables: dict[str, str]) -> None:
    display, text = live(140, variables)
    with display:
        display.sweep_started(make_plan("mlp", seeds=12))
        for seed in range(12):
            tell_run(display, "mlp", seed, error="it broke" if seed == 7 else None)
        display.sweep_finished(**END)
    printed = text.getvalue()
    assert ("\x1b[32m" in printed) == (not variables)  # green
    view, end = re.split(r"\n(?=11 of 12 runs ok)", printed[printed.rindex("12 of 12 done") :])
    assert view.count("mlp ") == 12 and "above" not in view
    assert end.startswith("11 of 12 runs ok\n  mlp seed 7: failed: it broke\n\nTest accuracy, best first")
    assert end.endswith("\n\ntables: results/here/README.md\n")
    assert printed.count("\x1b[?25l") == printed.count("\x1b[?25h") == 1  # the cursor, hidden and back


def test_a_sweep_that_is_stopped_while_it_measures_is_left_standing_whole() -> None:
    display, text = live()
    with display:
        display.sweep_started(make_plan("mlp", seeds=12))
        display.run_started("mlp", 0)
        display.worker_event({"phase": "measuring"})
        drawn = text.getvalue()
    last = text.getvalue()[len(drawn) :]
    assert "stopped" in last and last.count("waiting") == 11


def test_quiet_says_what_went_wrong_and_where_the_tables_are() -> None:
    out, errors = io.StringIO(), io.StringIO()
    display = QuietDisplay(plain_console(out), plain_console(errors))
    with display:
        display.sweep_started(make_plan("mlp", "cnn", skipped=(make_result("vit"),)))
        tell_run(display, "mlp")
        display.say("not worth it")
        tell_run(display, "cnn", error="it broke\nlog")
        display.warn("the tables can't be written")
        display.sweep_finished(**END)
    assert out.getvalue() == "2 of 3 runs ok\ntables: results/here/README.md\n"
    assert errors.getvalue() == "cnn seed 0: failed: it broke\nthe tables can't be written\n"


def test_a_sweep_that_was_stopped_says_what_is_not_done_and_names_no_tables_that_it_has_not_made() -> None:
    display, text = plain()
    with display:
        display.sweep_started(make_plan("mlp", "cnn"))
        display.run_started("mlp", 0)
        display.sweep_finished(**END)
    assert text.getvalue().endswith("\n0 of 0 runs ok, 2 not done\n")


def test_a_run_that_begins_anew_with_a_smaller_batch_is_counted_with_it() -> None:
    display, text = plain()
    display.sweep_started(make_plan("mlp"))
    display.run_started("mlp", 0)
    display.worker_event(make_epoch(1))
    display.batch_changed(125)
    assert "mlp seed 0: out of memory at batch size 250; retrying at 125\n" in text.getvalue()
    assert display.running.trained is None and display.running.state == "starting"
    display.worker_event(make_epoch(1, num_steps=200, scheduled_steps=1000))
    assert "2,500 img/s; about 0:00:40 left" in text.getvalue().splitlines()[-1]


@pytest.mark.parametrize("width", [60, 110])
def test_the_live_view_says_how_far_a_run_is_within_its_epoch(width: int) -> None:
    display, text = live(width)
    with display:
        display.sweep_started(make_plan("mlp", budget="epochs:5"))
        display.run_started("mlp", 0)
        display.worker_event({"phase": "compiling"})
        assert "compiling" in text.getvalue() and "epoch 1 of 5" not in text.getvalue()
        for event, words in (
            (make_steps(0), "epoch 1 of 5, step 0 of 100"),
            (make_steps(34), "epoch 1 of 5, step 34 of 100; 2,500 img/s"),
            (make_epoch(1), "epoch 1 of 5, step 100 of 100; 2,500 img/s"),
            (make_steps(7, epoch=2), "epoch 2 of 5, step 7 of 100; 2,500 img/s"),
        ):
            display.worker_event(event)
            drawn = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue()).splitlines()
            assert drawn[-1] == words and "training" in drawn[-2]
    assert lines(display, width=width)[2].split()[2:4] == ["stopped", "1/5"]


def test_the_time_left_is_known_from_the_first_steps_on_under_every_budget() -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan("mlp", budget="flops:1e12"))
    display.run_started("mlp", 0)
    display.worker_event(make_steps(50, scheduled_steps=250))
    assert lines(display)[2].split()[3:] == ["0/3", "-", "-", "-", "2,500", "0:00:00", "0:00:20"]
    display.worker_event(make_steps(20, epoch=3, epoch_steps=50, scheduled_steps=250))  # the last one is a half
    assert lines(display)[2].split()[3] == "2/3"


def test_plain_lines_tell_of_steps_only_where_nothing_was_said_for_long() -> None:
    clock = Clock()
    display, text = plain(clock=clock)
    display.sweep_started(make_plan("vit", budget="epochs:5"))
    display.run_started("vit", 0)
    display.worker_event({"phase": "compiling"})
    display.worker_event(make_steps(0))
    for step in range(1, 70):
        clock.wait(1.0)
        display.worker_event(make_steps(step, elapsed_s=float(step)))
    display.worker_event(make_epoch(1, elapsed_s=100.0))
    clock.wait(29.0)
    display.worker_event(make_steps(29, epoch=2))
    assert text.getvalue().splitlines()[1:-1] == [
        "  vit seed 0: compiling",
        "  vit seed 0: epoch 1 of 5, step 30 of 100; 250 img/s; about 0:07:50 left",
        "  vit seed 0: epoch 1 of 5, step 60 of 100; 250 img/s; about 0:07:20 left",
    ]


def test_what_is_not_ok_is_said_to_be_so_though_it_has_figures() -> None:
    record = make_result("mlp")
    record.status, record.error = "timeout", "run stopped after the time limit of 9 s"
    assert result_line(record) == "mlp seed 0: timeout: run stopped after the time limit of 9 s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (0.2, "0:00:01"), (59.6, "0:01:00"), (36_000.0, "10:00:00")]
)
def test_durations_are_hours_minutes_and_seconds(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("terminal", "variables", "expected"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "xterm", "CI": "false", "NO_COLOR": "1"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "CI": "true"}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"TERM": "xterm", "FORCE_COLOR": "1"}, False),
    ],
)
def test_only_a_terminal_that_can_do_it_is_drawn_over(
    terminal: bool, variables: Mapping[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert can_be_live(Stream(terminal), variables) is expected
    monkeypatch.setattr("benchmarks.sweep.display.sys.stdout", Stream(terminal))
    monkeypatch.setattr("benchmarks.sweep.display.os.environ", dict(variables))
    assert type(make_display()) is (LiveDisplay if expected else PlainDisplay)
    assert type(make_display(live=False)) is PlainDisplay
    assert type(make_display(quiet=True)) is QuietDisplay
    assert type(make_display(quiet=True, json=True)) is JsonDisplay


def test_a_letter_that_the_encoding_lacks_ends_no_sweep() -> None:
    raw = io.BytesIO()
    display = PlainDisplay(plain_console(io.TextIOWrapper(raw, encoding="ascii", write_through=True)))
    display.say("größer")
    assert raw.getvalue() == rb"gr\xf6\xdfer" + b"\n"
