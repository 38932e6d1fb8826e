"""`--help` and `--version` of every command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = [
    *("benchmarks.run", "benchmarks.report", "benchmarks.compare", "benchmarks.selfcheck", "benchmarks.tune"),
    *("benchmarks.reproduce", "benchmarks.peers", "benchmarks.mistakes", "benchmarks.labels"),
    *("benchmarks.determinism", "benchmarks.worker_cost", "benchmarks.stats.simulation"),
    *("fmnist_zoo", "fmnist_zoo list", "fmnist_zoo describe", "fmnist_zoo data", "fmnist_zoo predict"),
]
SLOW = {"torch", "timm", "matplotlib"}
LOADED = f"import sys, atexit, runpy; atexit.register(lambda: print({SLOW} & {{*sys.modules}}, file=sys.stderr)); "


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command in a fresh process, which says last what it imported that takes long."""
    module, *words = command.split()
    code = f"{LOADED}sys.argv = [''] + {[*words, *arguments]!r}; runpy.run_module({module!r}, run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_whole_fits_80_columns_and_loads_nothing_slow(command: str) -> None:
    result = run(command, "--help")
    assert (result.returncode, result.stderr.strip()) == (0, "set()")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not re.search(r"\{None\}|--no-(?!figures)|default: (None|False|True)?\)|\n\n  -", result.stdout)
    assert "\nexamples:\n  python -m " in result.stdout
    options = re.split(r"^  (?=-|\[?[A-Z]{3})", result.stdout.partition("\nexamples:")[0], flags=re.MULTILINE)[1:]
    assert options
    for option in options:
        text = re.split(r"\s{2,}", option.strip(), maxsplit=1)
        assert len(text) == 2 and len(re.sub(r"\(default: .*", "", text[1]).split()) >= 3, option


@pytest.mark.parametrize("command", ["benchmarks.run", "benchmarks.stats.simulation", "fmnist_zoo list"])
def test_version_names_project_torch_and_python_without_importing_torch(command: str) -> None:
    result = run(command, "--version")
    assert (result.returncode, result.stderr.strip()) == (0, "set()")
    assert re.fullmatch(r"fmnist-zoo \d+\.\d+\.\d+, torch \d\S+, Python 3\.\d+\.\S+\n", result.stdout)


def test_a_shell_completes_the_options_after_the_name_of_the_module() -> None:
    """As docs/running.md tells it: an alias of the module's name, and the script that the command writes."""
    script = run("benchmarks.run", "--tyro-write-completion", "bash", "-").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert re.search(r"^complete -F \w+ benchmarks\.run$", script, re.MULTILINE) and "--weight-decay" in script


def test_the_simulation_is_as_long_as_it_is_told() -> None:
    result = run("benchmarks.stats.simulation", "--num-sweeps", "8")
    assert result.returncode == 0 and "of 8 sweeps" in result.stdout
    assert "must be at least 4" in run("benchmarks.stats.simulation", "--num-sweeps", "1").stderr
