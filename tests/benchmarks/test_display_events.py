"""`--json`: every line is an event of its type, and nothing else is there."""

import io
import json
import os
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.run import main
from benchmarks.sweep.display import JsonDisplay
from benchmarks.sweep.display.events import EVENTS
from tests.benchmarks.sample_sweep import END, Clock, make_epoch, make_plan, make_result, make_steps, tell_run

NOW = datetime(2026, 11, 21, 21, 0, 0, 123456, tzinfo=UTC)


def events_in(text: str) -> list[dict[str, Any]]:
    """The events of an output, each checked against its type: no field is missing, wrong, or more than that."""
    found = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    for event in found:
        kind = EVENTS[event["event"]]
        msgspec.convert(event, kind)
        assert set(event) == set(get_type_hints(kind))
        assert datetime.fromisoformat(event["time_utc"]).utcoffset() == timedelta(0)
    return found


def make_display() -> tuple[JsonDisplay, io.StringIO]:
    text = io.StringIO()
    return JsonDisplay(text, clock=Clock(), now=lambda: NOW), text


def test_a_sweep_is_told_from_its_plan_to_its_end() -> None:
    display, text = make_display()
    with display:
        display.sweep_started(make_plan("mlp", "cnn", skipped=(make_result("vit"),) * 2, num_comparisons=1))
        tell_run(display, "mlp", epochs=2)
        tell_run(display, "cnn", epochs=0, error="RuntimeError: it broke\nlog")
        display.say("mlp: comparing 2 arms")
        display.sweep_finished(**END)
    found = events_in(text.getvalue())
    assert [event["event"] for event in found] == [
        "sweep_started",
        *("run_started", "phase", "phase", "phase", "epoch", "epoch", "phase", "run_finished"),
        *("run_started", "phase", "phase", "phase", "phase", "run_finished"),
        "note",
        "sweep_finished",
    ]
    assert {event["time_utc"] for event in found} == {"2026-11-21T21:00:00.123Z"}
    start, end = found[0], found[-1]
    assert (start["num_runs"], start["num_runs_skipped"], start["num_comparisons"]) == (2, 2, 1)
    assert [run["variant"] for run in start["runs"]] == ["mlp", "cnn"]
    phases = [event["phase"] for event in found if event["event"] == "phase"][:4]
    assert phases == ["starting", "choosing", "training", "testing"]
    second = next(event for event in found if event["event"] == "epoch" and event["epoch"] == 2)
    assert (second["num_epochs"], second["train_s"], second["train_img_per_s"]) == (5, 20.0, 2500.0)
    assert second["train_left_s"] == 30.0
    good, bad = (event for event in found if event["event"] == "run_finished")
    assert (good["status"], good["test_top1_pct"], good["error"]) == ("ok", 89.51, None)
    assert (bad["status"], bad["test_top1_pct"], bad["wall_s"]) == ("failed", None, 60.0)
    assert bad["error"] == "RuntimeError: it broke\nlog" and bad["run_id"]
    assert (end["exit_code"], end["num_runs_ok"], end["num_runs_not_ok"]) == (1, 1, 1)
    assert end["tables"] == "results/here/README.md"


def test_steps_within_an_epoch_are_told_from_the_first_on_and_training_begins_with_them() -> None:
    display, text = make_display()
    display.sweep_started(make_plan("mlp"))
    display.run_started("mlp", 0)
    for event in ({"phase": "compiling"}, make_steps(0), make_steps(25), make_epoch(1), make_steps(50, epoch=2)):
        display.worker_event(event)
    found = events_in(text.getvalue())[3:]
    assert [event.get("phase", event["event"]) for event in found] == [
        "compiling", "training", "steps", "epoch", "steps"
    ]  # fmt: skip
    first, last = found[2], found[4]
    assert (first["epoch"], first["num_epochs"], first["step"], first["epoch_steps"]) == (1, 5, 25, 100)
    assert (first["train_s"], first["train_img_per_s"], first["train_left_s"]) == (2.5, 2500.0, 47.5)
    assert (last["epoch"], last["step"], last["num_steps"], last["scheduled_steps"]) == (2, 50, 150, 500)


NUMBERS = st.none() | st.floats()


@given(
    variant=st.text(),
    error=st.none() | st.text(),
    losses=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    elapsed_s=st.floats(0.0, 1e9),
    steps=st.tuples(st.integers(1, 10**9), st.integers(1, 10**9)),
    budget=st.sampled_from(["epochs:5", "seconds:3", "flops:1e15"]),
    wall_s=st.floats(0.0, 1e9),
)
def test_whatever_happens_an_event_is_of_its_type(
    variant: str, error: str | None, losses: Any, elapsed_s: float, steps: tuple[int, int], budget: str, wall_s: float
) -> None:
    display, text = make_display()
    with display:
        display.sweep_started(make_plan(variant, budget=budget))
        display.run_started(variant, 0)
        names = ("train_loss", "val_loss", "val_top1_pct", "lr")
        figures = dict(zip(names, losses, strict=True))
        display.worker_event(
            make_epoch(1, elapsed_s=elapsed_s, num_steps=steps[0], scheduled_steps=steps[1], **figures)
        )
        display.run_finished(make_result(variant, error=error, wall_s=wall_s))
        display.warn(variant)
        display.sweep_finished(exit_code=0, complete=True)
    found = events_in(text.getvalue())
    assert len(found) == 8 and text.getvalue().isascii() and found[1]["variant"] == variant


def test_the_time_is_utc_wherever_the_clock_is() -> None:
    text = io.StringIO()
    display = JsonDisplay(text, now=lambda: NOW.astimezone(timezone(timedelta(hours=9))))
    display.say("x")
    assert events_in(text.getvalue())[0]["time_utc"] == "2026-11-21T21:00:00.123Z"


def test_standard_output_carries_events_alone(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with JsonDisplay() as display:
        display.say("an event")
        print("a library's word")
        os.write(1, b"a word from C\n")
        sys.stdout.flush()
        display.say("another")
    print("after")
    output = capfd.readouterr()
    before, *lines, after = output.out.splitlines()
    assert (before, after) == ("before", "after")
    assert [event["text"] for event in events_in("\n".join(lines))] == ["an event", "another"]
    assert sorted(output.err.splitlines()) == ["a library's word", "a word from C"]


@pytest.mark.parametrize("option", ["--list", "--dry-run"])
def test_there_are_no_events_without_a_sweep(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--models", "mlp", "--json", option]) == 2
    output = capsys.readouterr()
    assert output.out == "" and "--json" in output.err
