"""Checksum of the code of a run: model and training.

Computed from syntax trees without comments, docstrings and module names; an import counts by what it imports. So it
changes with behaviour, not with wording or location. Measurements and everything else in this repository are excluded.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

_TRAINING = ("fmnist_zoo.training.fit", "fmnist_zoo.training.determinism", "fmnist_zoo.data.splits")
"""Modules where training starts; their imports count as well."""

_DECIDE_NOTHING = frozenset({
    "DatasetSpec", "EpochStats", "Ledger", "ModelSpec", "TrainingState", "__version__", "convert_options",
    "count_flops", "load_dataset", "register_model",
})  # fmt: skip
"""Modules of `fmnist_zoo` that define one of these don't count: they look up, book or save, and affect weights only by
what a record states itself."""


def code_checksum(build: Callable[..., nn.Module], model: nn.Module) -> str:
    """SHA-256 (hex) of the code that determines a model's training.

    Covers `program_files` and the versions of libraries (such as timm) that define layers.

    Args:
        build: the model's builder.
        model: an instance, for the classes of its layers.
    """
    files = program_files(build, model)
    libraries = {name.partition(".")[0] for name in _homes(build, model) - set(files)} - {"", "torch", "fmnist_zoo"}
    programs = canonical_programs({name: path.read_bytes() for name, path in files.items()})
    return _sha256("\0".join([*programs, *sorted(map(_version, libraries))]))


def program_files(build: Callable[..., nn.Module], model: nn.Module) -> dict[str, Path]:
    """Modules a run depends on, for model and training, by name (packages: `NAME.__init__`).

    The modules that define builder and layers, and those they use, if they belong to `fmnist_zoo`, to the plug-in's own
    package, or to no installed package, such as a file beside the plug-in.

    Raises:
        RuntimeError: a module where training starts was not found.
    """
    package = _home(build).partition(".")[0]
    todo, found = [*_homes(build, model), *_TRAINING], dict[str, Path]()
    while todo:
        name = todo.pop()
        path = None if name in found else _file(name)
        if path is None or not _is_own(name, path, package):
            continue
        found[name] = path
        for _, module, item in _imports(path.read_bytes(), _key(name, path).rpartition(".")[0]):
            todo += [module, f"{module}.{item}"] if item else [module]
        if name in sys.modules and name.partition(".")[0] != "fmnist_zoo":  # it may import in its own ways
            todo += filter(None, map(_module_of, vars(sys.modules[name]).values()))
    if moved := set(_TRAINING) - set(found):
        raise RuntimeError(f"{', '.join(sorted(moved))} not found: update _TRAINING in {__file__}")
    return {_key(name, path): path for name, path in found.items()}


def canonical_programs(sources: Mapping[str, bytes]) -> list[str]:
    """Canonical texts of modules, sorted, unchanged when modules move or are renamed.

    Imports from these modules are replaced by a reference to their content, imports from libraries by the full name.
    Of other modules of the same package, only the imported name counts.

    Args:
        sources: by module (packages: `NAME.__init__`).
    """
    contents = {name.removesuffix(".__init__"): "" for name in sources}
    ours = frozenset(name.partition(".")[0] for name in sources)
    for _ in ("what each does", "and with what"):
        texts = {name: _text(source, name.rpartition(".")[0], ours, contents) for name, source in sources.items()}
        contents = {name.removesuffix(".__init__"): _sha256(text) for name, text in texts.items()}
    return sorted(set(texts.values()))


def _text(source: bytes, package: str, ours: frozenset[str], contents: Mapping[str, str]) -> str:
    used = {name for _, module, item in _imports(source, package) for name in (module, f"{module}.{item}")}
    return _program(source, package, ours, frozenset((name, contents[name]) for name in used & set(contents)))


@functools.cache
def _imports(source: bytes, package: str) -> tuple[tuple[str, str, str | None], ...]:
    nodes = ast.walk(ast.parse(source))
    return tuple(
        part for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for part in _bound(node, package)
    )


def _bound(node: ast.Import | ast.ImportFrom, package: str) -> list[tuple[str, str, str | None]]:
    """Bindings of an import: local name, module, and item; None for the module itself."""
    if isinstance(node, ast.Import):
        return [(alias.asname or alias.name, alias.name, None) for alias in node.names]
    module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    return [(alias.asname or alias.name, module, alias.name) for alias in node.names]


@functools.cache
def _program(source: bytes, package: str, ours: frozenset[str], contents: frozenset[tuple[str, str]]) -> str:
    return _Canonical(package, ours, dict(contents)).text(source)


class _Canonical(ast.NodeTransformer):
    """A module without positions, comments, unused strings and module names.

    Imports are sorted at the end; conditional ones stay in place.

    Args:
        package: of the module.
        ours: the packages whose modules may move.
        contents: of the modules that count, by name.
    """

    def __init__(self, package: str, ours: frozenset[str], contents: Mapping[str, str]) -> None:
        self.package, self.ours, self.contents = package, ours, contents
        self.modules: dict[str, str] = {}
        self.imported = set[str]()
        self.depends = False

    def text(self, source: bytes) -> str:
        for name, module, item in _imports(source, self.package):
            if (whole := f"{module}.{item}" if item else module) in self.contents:
                self.modules[name] = f"module {self.contents[whole]}"
        tree = self.visit(ast.parse(source))
        return "\n".join([ast.dump(tree), *sorted(self.imported)])

    def visit(self, node: ast.AST) -> Any:
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                return None
            case ast.Import() | ast.ImportFrom():
                return self._import(node)
            case ast.If() | ast.Try():
                return self._choice(node)
            case ast.Name() | ast.Attribute() if content := self.modules.get(_dotted(node)):
                return ast.Name(content, node.ctx)
        return self.generic_visit(node)

    def _what(self, name: str, module: str, item: str | None) -> str:
        """Canonical meaning of an imported name."""
        if name in self.modules:
            return self.modules[name]
        if module in self.contents:
            return f"{name} is {item} of {self.contents[module]}"
        if module.partition(".")[0] in self.ours:
            return f"{name} is {item}"
        return f"{name} is {module}.{item}" if item else f"{name} is {module}"

    def _import(self, node: ast.Import | ast.ImportFrom) -> ast.Expr | None:
        what = {self._what(*part) for part in _bound(node, self.package)}
        if self.depends:
            return ast.Expr(ast.Constant("\n".join(sorted(what))))
        self.imported |= what
        return None

    def _choice(self, node: ast.If | ast.Try) -> ast.AST | None:
        for_types = isinstance(node, ast.If) and _dotted(node.test).endswith("TYPE_CHECKING")
        before, self.depends = self.depends, self.depends or not for_types
        self.generic_visit(node)
        self.depends = before
        return None if for_types and not node.body and not node.orelse else node


def _dotted(node: ast.AST) -> str:
    """`a.b` for a dotted name, else empty."""
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return before and f"{before}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _home(build: Callable[..., nn.Module]) -> str:
    while isinstance(build, functools.partial):
        build = build.func
    return getattr(build, "__module__", "")


def _homes(build: Callable[..., nn.Module], model: nn.Module) -> set[str]:
    """Modules that define the model and its layers."""
    return {_home(build), *(type(layer).__module__ for layer in model.modules())}


def _is_own(name: str, path: Path, package: str) -> bool:
    """Whether a module counts for a model defined in `package`."""
    top = name.partition(".")[0]
    if top == "fmnist_zoo":
        return not _DECIDE_NOTHING & _definitions(path.read_bytes())
    return top == package or not any(path.is_relative_to(place) for place in _installed())


@functools.cache
def _definitions(source: bytes) -> frozenset[str]:
    """The names that a module defines itself."""
    body = ast.parse(source).body
    numbers = {_dotted(target) for node in body if isinstance(node, ast.Assign) for target in node.targets}
    return frozenset(numbers | {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)})


@functools.cache
def _installed() -> list[str]:
    """Folders of Python and installed packages."""
    return [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")]


def _file(name: str) -> Path | None:
    """Python file of a module, found without importing it; None if there is none."""
    package, _, last = name.rpartition(".")
    if name in sys.modules:
        file = getattr(sys.modules[name], "__file__", None)
    elif not package:
        spec = importlib.util.find_spec(name) if name else None
        file = spec.origin if spec else None
    elif (outer := _file(package)) and outer.stem == "__init__":
        places = (outer.with_name(f"{last}.py"), outer.with_name(last) / "__init__.py")
        file = next((place for place in places if place.is_file()), None)
    else:
        file = None
    return Path(file) if file and Path(file).suffix == ".py" else None


def _key(name: str, path: Path) -> str:
    return f"{name}.__init__" if path.stem == "__init__" else name


def _module_of(value: Any) -> str | None:
    name = getattr(value, "__name__" if isinstance(value, type(sys)) else "__module__", None)
    return name if isinstance(name, str) else None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _version(library: str) -> str:
    try:
        return f"{library} {importlib.metadata.version(library)}"
    except importlib.metadata.PackageNotFoundError:
        return library  # its distribution has another name
