"""Tests that need a CUDA device, as a step of a reproduction; the report is saved beside the records."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.records.json_files import JSON_LIMIT_BYTES
from fmnist_zoo.files import read_regular, write_atomically

REPORT: Final = "gpu-tests.txt"
PASSED: Final = "passed "
CHECKOUT: Final = Path(__file__).parents[2]
COMMAND: Final = (sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "--color=no", "tests")


def missing() -> str | None:
    """Reason why the tests can't run here, or None."""
    if not (CHECKOUT / "tests").is_dir():
        return "the tests are not installed; use a checkout of the repository"
    if any(importlib.util.find_spec(name) is None for name in ("pytest", "hypothesis")):
        return "the tests need pytest and hypothesis: pip install -e '.[dev]'"
    return None


def run_tests(folder: Path, *, command: Sequence[str] | None = None, timeout_s: float = 600.0) -> bool:
    """Run the tests in a separate process, save their output in a machine's folder; True if all passed.

    Raises:
        WriteError: output not writable.
    """
    output, passed = _output(command or COMMAND, timeout_s)
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z"
    content = f"{PASSED if passed else 'failed '}{now}\n\n{output.strip()}\n"
    write_atomically(folder / REPORT, content.replace(f"{CHECKOUT}{os.sep}", "").encode())
    return passed


def passed_at(machine_dir: Path) -> str | None:
    """Time at which all tests passed on a machine (UTC, format as in records); None if unknown or failed."""
    try:
        first, _, _ = read_regular(machine_dir / REPORT, JSON_LIMIT_BYTES).decode().partition("\n")
    except (OSError, ValueError):
        return None
    return first.removeprefix(PASSED) if first.startswith(PASSED) else None


def _output(command: Sequence[str], timeout_s: float) -> tuple[str, bool]:
    """Output of a command, and whether it succeeded in time."""
    try:
        result = subprocess.run(
            command, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        return f"{(error.stdout or b'').decode(errors='replace')}\ntimed out after {timeout_s:.0f} s", False
    return result.stdout.decode(errors="replace"), result.returncode == 0
