"""Displays of a sweep: live view on a terminal, plain lines elsewhere, quiet or JSON on request."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from benchmarks.sweep.display.base import Display, SweepPlan
from benchmarks.sweep.display.lines import JsonDisplay, PlainDisplay, QuietDisplay
from benchmarks.sweep.display.live import LiveDisplay

__all__ = [
    "Display", "JsonDisplay", "LiveDisplay", "PlainDisplay", "QuietDisplay", "SweepPlan", "make_display",
]  # fmt: skip


def make_display(*, quiet: bool = False, json: bool = False, live: bool = True) -> Display:
    """JSON events for `json`, else the quiet display for `quiet`, else the live view if possible."""
    if json:
        return JsonDisplay()
    if quiet:
        return QuietDisplay()
    return LiveDisplay() if live and can_be_live(sys.stdout, os.environ) else PlainDisplay()


def can_be_live(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream is a capable terminal and not a CI log."""
    in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
    return stream.isatty() and environment.get("TERM", "").lower() not in ("dumb", "unknown") and not in_ci
