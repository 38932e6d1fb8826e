"""Workers for tests: a real process that runs programs in the place of training, and one without a process."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import psutil

from benchmarks.workers.client import Worker, serving
from benchmarks.workers.server import Emit

NAMES = {"ctypes": ctypes, "os": os, "subprocess": subprocess, "sys": sys, "time": time}


class Executes:
    """Runs the `code` of a job, which may call `emit`, and answers what that puts into `found`.

    Args:
        module: imported before it is ready, if one is named.
    """

    def __init__(self, module: str = "") -> None:
        self.found: dict[str, Any] = {}
        if module:
            __import__(module)

    def __call__(self, job: Mapping[str, Any], emit: Emit) -> dict[str, Any]:
        self.found = {}
        exec(job["code"], {**NAMES, "emit": emit, "found": self.found})  # that is what it is for
        return self.found


def executing(*module: str) -> Worker:
    """A worker process that does so."""
    return Worker(1, command=serving("tests.benchmarks.fake_workers:Executes", *module))


def job(code: str) -> dict[str, Any]:
    """What it is asked."""
    return {"code": code}


class FakeWorker:
    """Does a job by calling `work` in this process, and notes in `log` when it starts, parks and ends."""

    def __init__(self, work: Callable[[Any], dict[str, Any]], log: list[str] | None = None) -> None:
        self.import_s: float | None = 0.0
        self.alive, self.log = True, list[str]() if log is None else log
        self._work = work

    def run(
        self, job: Any, on_event: Callable[[dict[str, Any]], None], *, timeout_s: float | None = None
    ) -> dict[str, Any]:
        return self._work(job)

    def park(self) -> None:
        self.log.append("park")

    def lives(self) -> bool:
        return self.alive

    def close(self) -> None:
        self.log.append("close")


def children_left() -> list[psutil.Process]:
    """Living descendants of this process, without Python's resource tracker, which stays as long as the process."""
    found = psutil.Process().children(recursive=True)
    return [child for child in found if child.is_running() and "resource_tracker" not in " ".join(child.cmdline())]
