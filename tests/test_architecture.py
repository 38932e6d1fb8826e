"""What may import what, and that the packaging files agree with each other."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("fmnist_zoo", "benchmarks")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
CLOCK_CALLS = {"now", "utcnow", "today", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns"}


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


@functools.cache
def imported(module: str, *, while_loading: bool = False) -> set[str]:
    """Modules that `module` names in imports, absolute: all of them, or those that run while it is being loaded."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in _loading_nodes(tree) if while_loading else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            # `from package import name` may name a submodule as well as an attribute
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return found


def _loading_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those inside functions and inside `if TYPE_CHECKING:`, which don't run on import."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _loading_nodes(child)


def loaded_with(module: str) -> set[str]:
    """Everything that importing `module` loads, followed through the modules of this repository."""
    todo, seen = [module], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in MODULES:
            parents = {name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)}
            todo += imported(name, while_loading=True) | parents
    return seen


A_RUN = """
import sys
import benchmarks.run, benchmarks.sweep.runner, benchmarks.sweep.training_run
from fmnist_zoo.registry import list_models
list_models()  # imports the models
print(*sys.modules)
"""
REPORT_MODULES = [module for module in MODULES if within(module, "benchmarks.report")]


def test_the_layout_is_there() -> None:
    assert {"fmnist_zoo.registry", "benchmarks.run", "benchmarks.records.record"} <= set(MODULES)
    assert REPORT_MODULES


@pytest.mark.parametrize("module", [module for module in MODULES if within(module, "fmnist_zoo")])
def test_the_library_never_imports_the_benchmarks(module: str) -> None:
    assert not {name for name in imported(module) if within(name, "benchmarks")}


@pytest.mark.parametrize("module", list(MODULES))
def test_nothing_imports_the_tests(module: str) -> None:
    assert not {name for name in imported(module) if within(name, "tests")}


@pytest.mark.parametrize("module", REPORT_MODULES)
def test_reports_are_made_from_records_alone(module: str) -> None:
    everything = imported(module) | loaded_with(module)
    assert not {name for name in everything if within(name, "torch") or within(name, "timm")}
    assert not {name for name in imported(module) if name in {"time", "timeit", "benchmarks.measure.clock"}}
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & CLOCK_CALLS


def test_few_modules_take_part_in_a_run() -> None:
    """The sweep's and the worker's together, without the report that follows and the packages' own files."""
    result = subprocess.run(
        [sys.executable, "-c", A_RUN], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    loaded = {name for name in MODULES if name in result.stdout.split() and MODULES[name].name != "__init__.py"}
    assert {"benchmarks.workers.server", "fmnist_zoo.training.fit", "fmnist_zoo.models.mlp"} <= loaded
    assert len(loaded) <= 85, sorted(loaded)


def test_command_lines_are_read_in_one_place() -> None:
    """There an option that is given twice is refused: the parser would drop the first one's values without a word."""
    readers = {module for module, path in MODULES.items() if "tyro.cli(" in path.read_text(encoding="utf-8")}
    assert readers == {"fmnist_zoo.cli.parse"}


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "fmnist_zoo" / "py.typed").is_file()


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_linter_has_one_version() -> None:
    config = pyproject()
    pinned = [line for line in config["project"]["optional-dependencies"]["dev"] if line.startswith("ruff")]
    assert pinned == config["dependency-groups"]["lint"]
    assert re.fullmatch(r"ruff==[\d.]+", pinned[0])


@pytest.mark.parametrize("module", ["fmnist_zoo", "fmnist_zoo.training.fit", "benchmarks.run"])
def test_warnings_of_our_own_are_errors(module: str) -> None:
    with pytest.raises(UserWarning, match="ours"):
        warnings.warn_explicit("ours", UserWarning, "file.py", 1, module=module)


@pytest.mark.parametrize("module", ["torch.nn", "benchmarks_of_others", "tests.fmnist_zoo"])
def test_warnings_of_others_are_not(module: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn_explicit("theirs", UserWarning, "file.py", 1, module=module)
    assert [str(warning.message) for warning in seen] == ["theirs"]
