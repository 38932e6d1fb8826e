"""Which program made a run: a checksum of its model's code and of the training's.

It is made of parsed programs without their comments and docstrings, so that it changes with what the code does and not
with what is said of it. How speed is measured isn't part of it, nor is anything else of this repository.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import nn

import fmnist_zoo

_PACKAGE = Path(fmnist_zoo.__file__).parent
_NOT_ARITHMETIC = ("choose.py", "ledger.py", "state.py")
"""Of the training's modules: what is measured, booked and saved, and decides nothing about the weights but what a
record says itself."""


def code_checksum(build: Callable[..., nn.Module], model: nn.Module) -> str:
    """SHA-256 (hex) of what decides how a model's training goes, beside its configuration and the data.

    That is the module in which it is defined and those that this one uses, the training's modules, and the versions of
    the libraries (such as timm) that its layers come from. Modules are those of `fmnist_zoo.models`, of the plug-in's
    own package, and whatever isn't installed, such as a file beside the plug-in.

    Args:
        build: what built it.
        model: an instance, for the classes of its layers.
    """
    home = getattr(build, "__module__", "")
    names = {home, *(type(layer).__module__ for layer in model.modules())}
    own = _own_modules(names, package=home.partition(".")[0])
    sources = {_program(Path(sys.modules[name].__file__ or "")) for name in own}
    training = [
        *(path for path in sorted((_PACKAGE / "training").glob("*.py")) if path.name not in _NOT_ARITHMETIC),
        _PACKAGE / "data" / "loader.py",
        _PACKAGE / "data" / "splits.py",
        _PACKAGE / "evaluation.py",
        _PACKAGE / "recipe.py",
    ]
    libraries = {name.partition(".")[0] for name in names - own} - {"", "torch", "fmnist_zoo"}
    parts = [*sorted(sources), *map(_program, training), *sorted(map(_version, libraries))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _own_modules(names: Iterable[str], package: str) -> set[str]:
    """The modules among these, and those that they use, that aren't a library's."""
    todo, found = list(names), set[str]()
    while todo:
        name = todo.pop()
        if name not in found and _is_own(name, package):
            found.add(name)
            todo += filter(None, map(_module_of, vars(sys.modules[name]).values()))
            todo += _imported(name)
    return found


def _imported(name: str) -> Iterator[str]:
    """The modules that the text of one imports from: a number doesn't say where it was taken from."""
    module = sys.modules[name]
    for node in ast.walk(ast.parse(Path(module.__file__ or "").read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield importlib.util.resolve_name("." * node.level + (node.module or ""), module.__package__)


def _is_own(name: str, package: str) -> bool:
    """Whether a module counts for a model that is defined in `package`."""
    top, file = name.partition(".")[0], getattr(sys.modules.get(name), "__file__", None)
    if file is None or Path(file).suffix != ".py":
        return False
    if top == "fmnist_zoo":
        return name.startswith("fmnist_zoo.models.")
    return top == package or not _is_installed(Path(file))


def _is_installed(file: Path) -> bool:
    """Whether a file belongs to Python itself or to an installed package."""
    places = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(file.is_relative_to(place) for place in places)


def _module_of(value: Any) -> str | None:
    name = getattr(value, "__name__" if isinstance(value, type(sys)) else "__module__", None)
    return name if isinstance(name, str) else None


def _program(path: Path) -> str:
    return _parsed(path, path.stat().st_mtime_ns)


@functools.lru_cache
def _parsed(path: Path, _changed_at_ns: int) -> str:
    """A source file as its syntax tree, without positions, comments and strings that nothing uses."""
    return ast.dump(_WithoutText().visit(ast.parse(path.read_bytes())))


class _WithoutText(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:  # ast's name for it
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node


def _version(library: str) -> str:
    try:
        return f"{library} {importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        return library  # its name in the registry of packages is another one
