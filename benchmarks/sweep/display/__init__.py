"""What is seen of a sweep: a live view on a terminal, plain lines elsewhere, little or events where asked for."""

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
    """Events for `json`, else little for `quiet`, else the live view where lines may and can be drawn over again."""
    if json:
        return JsonDisplay()
    if quiet:
        return QuietDisplay()
    return LiveDisplay() if live and can_be_live(sys.stdout, os.environ) else PlainDisplay()


def can_be_live(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether lines may be drawn over again there: on a terminal that can do it, and not in the log of a CI service."""
    in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
    return stream.isatty() and environment.get("TERM", "").lower() not in ("dumb", "unknown") and not in_ci
