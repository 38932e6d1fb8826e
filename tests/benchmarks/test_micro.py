"""The micro-benchmarks' frame: the environment of a run's worker, the machine's fingerprint, saving and comparing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.measure.environment import cpu_model
from benchmarks.workers.server import environment

TOP = Path(__file__).parents[2]
ALLOCATOR = re.compile("GLIBC_|MALLOC_")
PARALLEL = re.compile("PYTEST_XDIST_")  # by which pytest-benchmark knows that it had better not measure


def bench(storage: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Two of the micro-benchmarks, started by itself, without the variables that must be set before Python starts."""
    bare = {name: value for name, value in os.environ.items() if not (ALLOCATOR.match(name) or PARALLEL.match(name))}
    command = [
        sys.executable, "-m", "pytest", "benchmarks", "-k", "scaling", "-p", "no:cacheprovider", "--benchmark-enable",
        "--benchmark-max-time=0.05", f"--benchmark-storage={storage}", *options,
    ]  # fmt: skip
    return subprocess.run(command, cwd=TOP, env=bare, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_benchmarks_are_saved_with_the_machine_and_compared_with_those_saved(tmp_path: Path) -> None:
    saved = bench(tmp_path, "--benchmark-save=before")
    assert saved.returncode == 0, saved.stdout + saved.stderr
    assert "2 passed" in saved.stdout  # the process that was started anew prints where the first one did
    (path,) = tmp_path.rglob("0001_before.json")
    info: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["machine_info"]
    assert info["hardware"]["cpu_model"] == cpu_model()
    assert info["details"]["num_threads"] >= 1 and info["software"]["torch"]
    wanted = {name: value for name, value in environment(1).items() if ALLOCATOR.match(name)}
    assert wanted and wanted.items() <= info["details"]["variables"].items()
    compared = bench(tmp_path, "--benchmark-compare=0001")
    assert compared.returncode == 0, compared.stdout + compared.stderr
    assert "(0001_before)" in compared.stdout and "(NOW)" in compared.stdout
    assert "machine_info is different" not in compared.stdout + compared.stderr


def test_the_default_test_command_leaves_benchmarks_alone(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getini("testpaths") == ["tests"]
