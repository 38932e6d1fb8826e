"""What a person sees of a sweep: how far it is, how long it will take, what went wrong, in any terminal."""

import io
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from benchmarks.config import RunConfig
from benchmarks.display import (
    Display,
    JsonDisplay,
    LiveDisplay,
    PlainDisplay,
    QuietDisplay,
    can_be_live,
    make_display,
    planned_runs,
)
from benchmarks.display.frame import frame
from benchmarks.display.output import plain_console
from benchmarks.display.words import duration, result_words, visible
from benchmarks.plan import make_plan as make_real_plan
from tests.benchmarks.sample_records import make_record
from tests.benchmarks.sample_sweep import END, Clock, make_epoch, make_plan, make_result, tell_run

NASTY = "[red]a[/red] \x1b[31m\x1b[2J :warning: \u202eb"


def lines(display: Display, *, width: int = 110, height: int | None = None, note: str | None = None) -> list[str]:
    return [line.plain for line in frame(display.sweep, width=width, height=height, note=note)]


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
    assert title.startswith("2 of 4 done, 1 not ok; 28s so far")
    assert header.split() == ["run", "state", "epoch", "loss", "val", "%", "test", "%", "img/s", "time", "left"]
    assert mlp.split() == ["mlp", "seed", "0", "ok", "5/5", "0.1000", "89.00", "89.51", "41,234", "1m", "00s", "-"]
    assert cnn.split(maxsplit=4)[3:] == ["failed", "RuntimeError: it broke"]
    # 200 of 500 steps in 20 s of training: 30 s more, of which 6 have passed.
    assert lstm.split()[3:] == ["training", "2/5", "0.2500", "86.00", "-", "2,500", "28s", "24s"]
    assert vit.split() == ["vit", "seed", "0", "waiting"]


@pytest.mark.parametrize(
    ("budget", "stats", "epochs", "left"),
    [
        ("epochs:5", make_epoch(1), "1/5", "40s"),
        ("flops:1e12", make_epoch(1, epochs=3), "1/3", "20s"),
        ("seconds:25", make_epoch(1, scheduled_steps=250), "1/3", "15s"),
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
    assert words[4] == epochs and words[-1] == left
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
    assert "time left: -; 1 comparison of arms after that" in lines(display)[0]
    display.run_started("mlp", 0)
    clock.wait(50.0)
    display.run_finished(make_result("mlp", 0, wall_s=50.0))
    assert display.sweep.left_s() == 150.0  # the others like this one, as far as anybody knows
    display.run_started("mlp", 1)
    clock.wait(20.0)
    assert display.sweep.left_s() == 130.0
    display.run_finished(make_result("mlp", 1, wall_s=20.0, error="too bad"))  # says nothing of how long one takes
    display.run_started("cnn", 0)
    display.run_finished(make_result("cnn", 0, wall_s=200.0))
    assert "about 3m 20s left" in lines(display)[0]  # the second seed of cnn will take what the first took
    display.run_started("cnn", 1)
    display.run_finished(make_result("cnn", 1, wall_s=200.0))
    assert display.sweep.left_s() is None and "left" not in lines(display)[0]


def test_earlier_records_of_the_machine_say_how_long_a_run_takes() -> None:
    plan = make_real_plan(RunConfig(models=("mlp",), seeds=3, device="cpu"))
    (variant,) = plan.variants

    def of(minutes: int, wall_s: float, status: Any = "ok") -> Any:
        def edit(record: Any) -> None:
            record.ledger["wall_s"] = wall_s

        return make_record(variant.config, minutes=minutes, status=status, edit=edit)

    runs = planned_runs(
        plan, done=frozenset({(variant.key, 0)}), earlier=[of(2, 30.0), of(1, 50.0), of(3, 1.0, "failed")]
    )
    assert [(run.seed, run.earlier_wall_s) for run in runs] == [(1, 30.0), (2, 30.0)]
    assert {run.steps_per_epoch for run in runs} == {55_000 // runs[0].batch_size}
    display = Display(clock=Clock())
    display.sweep_started(make_plan(runs=runs, num_skipped=1))
    assert display.sweep.left_s() == 60.0 and "1 done before" in lines(display)[0]


def test_a_budget_in_seconds_is_known_before_it_is_spent() -> None:
    display = Display(clock=Clock())
    plan = make_plan("mlp", budget="seconds:20")
    display.sweep_started(make_plan(runs=plan.runs + make_plan("cnn", budget="seconds:70").runs))
    display.run_started("mlp", 0)
    display.run_finished(make_result("mlp", wall_s=22.5))  # of which 12.5 were training
    assert display.sweep.left_s() == 80.0


def test_with_too_few_rows_the_newest_runs_are_shown_and_the_others_counted() -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan("mlp", seeds=30))
    for seed in range(20):
        tell_run(display, "mlp", seed, error="x" if seed == 3 else None)
    display.run_started("mlp", 20)
    shown = lines(display, height=11, note="something else")
    assert len(shown) <= 10
    assert shown[2] == "... 16 before: 15 ok, 1 failed" and shown[-2:] == ["... 9 more to come", "something else"]
    assert [line.split()[2] for line in shown[3:-2]] == ["16", "17", "18", "19", "20"]
    assert len(lines(display)) == 32


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=12, unique=True),
    ended=st.integers(0, 12),
    error=st.text(),
    note=st.none() | st.text(max_size=80),
    width=st.integers(20, 130),
    height=st.integers(5, 30),
)
def test_the_view_fits_any_terminal_whatever_the_names_and_errors(
    names: list[str], ended: int, error: str, note: str | None, width: int, height: int
) -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan(*names))
    for index, name in enumerate(names[:ended]):
        tell_run(display, name, error=error if index % 2 else None)
    if ended < len(names):
        display.run_started(names[ended], 0)
    drawn = frame(display.sweep, width=width, height=height, note=note)
    assert len(drawn) < height and all(line.cell_len <= width for line in drawn)
    assert all(line.plain.isprintable() for line in drawn)
    running = min(ended, len(names) - 1)
    state = "starting" if ended < len(names) else "ok" if running % 2 == 0 else "failed"
    assert width < 40 or any(state in line.plain for line in drawn)


@pytest.mark.parametrize("width", [60, 80])
def test_narrow_terminals_lack_columns_and_break_no_line(width: int) -> None:
    display = Display(clock=Clock())
    display.sweep_started(make_plan("lstm rows_per_step=2 optimizer=adamw lr=0.003", "mlp"))
    tell_run(display, "lstm rows_per_step=2 optimizer=adamw lr=0.003")
    header, lstm = lines(display, width=width)[1:3]
    head, tail = lstm.split("…")
    assert len(header) <= width and head.startswith("lstm r") and "=0.003 seed 0 ok" in tail
    assert ("loss" in header, "left" in header) == ((True, True) if width == 80 else (False, False))
    assert "val %" in header and "test %" in header


def test_names_and_errors_are_shown_as_they_are_and_never_obeyed() -> None:
    spelled = r"[red]a[/red] \x1b[31m\x1b[2J :warning: \u202eb"
    assert visible(NASTY) == spelled
    for display, text in (plain(), live()):
        with display:
            display.sweep_started(make_plan(NASTY))
            tell_run(display, NASTY, error=NASTY)
            display.say(NASTY)
            display.warn(NASTY)
            display.sweep_finished(END)
        printed = text.getvalue()
        assert printed.count(spelled) > 3
        assert "\x1b[31ma" not in printed and "\x1b[2J" not in printed and "\u202e" not in printed


def live(width: int = 140, variables: Mapping[str, str] | None = None) -> tuple[LiveDisplay, io.StringIO]:
    text, environment = io.StringIO(), {"TERM": "xterm", **(variables or {})}
    console = Console(file=text, force_terminal=True, width=width, height=10, _environ=environment)
    return LiveDisplay(console, clock=Clock(), tick_s=None), text


def test_plain_lines_have_no_control_codes_and_say_it_in_words() -> None:
    display, text = plain(clock=Clock())
    with display:
        display.sweep_started(make_plan("mlp", "cnn", num_skipped=3))
        tell_run(display, "mlp")
        tell_run(display, "cnn", error="WorkerDiedError: signal 11\nits log")
        display.say("mlp: comparing 2 arms")
        display.sweep_finished(END)
    printed = text.getvalue()
    assert all(letter.isprintable() or letter == "\n" for letter in printed)
    scores = "training loss 0.5000, accuracy 81.00%; validation loss 0.6000, accuracy 85.00%"
    assert printed.splitlines()[:3] == [
        "done already: 3 of 5 runs",
        "[1/2] mlp seed 0: starting",
        f"  mlp seed 0: epoch 1 of 5; {scores}; 10.0 s of training, 2,500 img/s; about 40s left",
    ]
    assert "[2/2] cnn seed 0: starting; about 1m 00s left for all runs" in printed
    assert "  cnn seed 0: failed: WorkerDiedError: signal 11\n" in printed
    assert "mlp: comparing 2 arms\n\n1 of 2 runs ok\n" in printed
    assert printed.endswith("\ntables: results/here/README.md\n")


@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}])
def test_the_live_view_leaves_all_runs_standing_and_its_colors_heed_no_color(variables: dict[str, str]) -> None:
    display, text = live(140, variables)
    with display:
        display.sweep_started(make_plan("mlp", seeds=12))
        for seed in range(12):
            tell_run(display, "mlp", seed, error="it broke" if seed == 7 else None)
        display.sweep_finished(END)
    printed = text.getvalue()
    assert ("\x1b[32m" in printed) == (not variables)  # green
    end = printed[printed.rindex("12 of 12 done") :]
    assert all(f"mlp seed {seed} " in end for seed in range(12)) and "before:" not in end
    assert "11 of 12 runs ok\n  mlp seed 7: failed: it broke\ntables: results/here/README.md" in end
    assert printed.count("\x1b[?25l") == printed.count("\x1b[?25h") == 1  # the cursor, hidden and back


def test_a_terminal_that_becomes_narrower_leaves_no_line_behind() -> None:
    """Its wrapping has added a line to each of the four that were drawn: they are gone up over, too."""
    display, text = live(width=100)
    with display:
        display.sweep_started(make_plan("mlp " * 5, "cnn"))
        tell_run(display, "mlp " * 5)
        drawn = [line.cell_len for line in frame(display.sweep, width=100, height=30)]
        text.truncate(0)
        display._console.width = 60
        display.refresh()
    first = text.getvalue().split("1 of 2")[0]
    assert first.count("\x1b[1A") == sum((cells - 1) // 60 + 1 for cells in drawn) - 1 > 3


def test_quiet_says_what_went_wrong_and_where_the_tables_are() -> None:
    out, errors = io.StringIO(), io.StringIO()
    display = QuietDisplay(plain_console(out), plain_console(errors))
    with display:
        display.sweep_started(make_plan("mlp", "cnn", num_skipped=1))
        tell_run(display, "mlp")
        display.say("not worth it")
        tell_run(display, "cnn", error="it broke\nlog")
        display.warn("the tables can't be written")
        display.sweep_finished(END)
    assert out.getvalue() == "1 of 2 runs ok\ntables: results/here/README.md\n"
    assert errors.getvalue() == "cnn seed 0: failed: it broke\nthe tables can't be written\n"


def test_a_sweep_that_was_stopped_says_what_is_not_done_and_names_no_tables_that_it_has_not_made() -> None:
    display, text = plain()
    with display:
        display.sweep_started(make_plan("mlp", "cnn"))
        display.run_started("mlp", 0)
        display.sweep_finished(END)
    assert text.getvalue().endswith("\n0 of 0 runs ok, 2 not done\n")


def test_a_run_that_begins_anew_with_a_smaller_batch_is_counted_with_it() -> None:
    display, text = plain()
    display.sweep_started(make_plan("mlp"))
    display.run_started("mlp", 0)
    display.worker_event(make_epoch(1))
    display.batch_changed(125)
    assert "mlp seed 0: out of memory with a batch of 250; again with 125\n" in text.getvalue()
    run = display.sweep.running
    assert run is not None and run.epoch is None and run.state == "starting"
    display.worker_event(make_epoch(1, num_steps=200, scheduled_steps=1000))
    assert "2,500 img/s; about 40s left" in text.getvalue().splitlines()[-1]


def test_what_is_not_ok_is_said_to_be_so_though_it_has_figures() -> None:
    record = make_result("mlp")
    record.status, record.error = "timeout", "the run had not ended after 9 s"
    assert result_words(record) == "timeout: the run had not ended after 9 s"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0.0, "0.1s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m 00s"), (605.0, "10m 05s"),
        (3599.7, "1h 00m"), (36_000.0, "10h 00m"), (1e9, "277777h"),
    ],
)  # fmt: skip
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text and len(text) <= 7


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
    monkeypatch.setattr("benchmarks.display.sys.stdout", Stream(terminal))
    monkeypatch.setattr("benchmarks.display.os.environ", dict(variables))
    assert type(make_display()) is (LiveDisplay if expected else PlainDisplay)
    assert type(make_display(live=False)) is PlainDisplay
    assert type(make_display(quiet=True)) is QuietDisplay
    assert type(make_display(quiet=True, json=True)) is JsonDisplay


def test_a_letter_that_the_encoding_lacks_ends_no_sweep() -> None:
    raw = io.BytesIO()
    display = PlainDisplay(plain_console(io.TextIOWrapper(raw, encoding="ascii", write_through=True)))
    display.say("größer")
    assert raw.getvalue() == rb"gr\xf6\xdfer" + b"\n"
