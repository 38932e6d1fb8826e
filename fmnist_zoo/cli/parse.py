"""Command-line parsing of both packages."""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import io
import platform
import shlex
import sys
import textwrap
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, StructConstructorSpec, StructFieldSpec, StructTypeInfo

from fmnist_zoo import __version__
from fmnist_zoo.cli.output import say

T = TypeVar("T")

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, by shell convention."""
HELP_WIDTH: Final = 80


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """A parsed command line.

    Attributes:
        options: an instance of the target, or what the target function returned.
        command: the command line, quoted for a shell.
    """

    options: T
    command: str


def parse(
    target: Callable[..., T],
    arguments: Sequence[str] | None,
    module: str,
    *,
    description: str | None = None,
    examples: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
) -> Parsed[T]:
    """Parse a command line into a typed dataclass, or call a function with it; docstrings are the help texts.

    Args:
        target: the dataclass, a union of them for subcommands, or the function; see https://brentyi.github.io/tyro.
        arguments: None for this process's own.
        module: as after `python -m`.
        description: first text of --help. Default: the target's docstring.
        examples: command lines without `python -m MODULE`, for the end of --help.
        groups: title and first field of each group of options in --help; a group ends where the next begins.

    Raises:
        SystemExit: 2 for invalid arguments, with the reason printed; 0 after --help, --version and a completion script.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if "--version" in arguments:
        print(versions())
        raise SystemExit(0)
    if repeated := _repeated_option(arguments):
        print(f"error: {repeated} appears twice; put all its values after one {repeated}", file=sys.stderr)
        raise SystemExit(2)
    completion = any(argument.startswith("--tyro-") for argument in arguments[:1])
    with _help(module, examples) if {"-h", "--help"} & set(arguments) else contextlib.nullcontext():
        options = tyro.cli(
            _plain_function(target) if inspect.isfunction(target) else target,
            args=arguments,
            prog=module if completion else f"python -m {module}",  # shells complete by one word
            description=description,
            config=(tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone),
            registry=_registry(groups or {}),
        )
    return Parsed(options, shlex.join(["python", "-m", module, *arguments]))


def versions() -> str:
    """Versions of this project, the installed torch (not imported) and Python."""
    try:
        torch = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        torch = "not installed"
    return f"fmnist-zoo {__version__}, torch {torch}, Python {platform.python_version()}"


def _repeated_option(arguments: Sequence[str]) -> str | None:
    """An option given twice: the parser would silently drop the first one's values."""
    names = [argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")]
    return next((name for name in names if names.count(name) > 1), None)


@contextlib.contextmanager
def _help(module: str, examples: Sequence[str]) -> Generator[None, None, None]:
    """Wrap long lines of the parser's --help and append examples."""
    text = io.StringIO()
    try:
        with contextlib.redirect_stdout(text):
            yield
    finally:
        whole = "\n".join(map(str.rstrip, text.getvalue().splitlines()))
        whole = whole.replace("\n\n  -", "\n  -")  # a text that fills its column leaves a blank line
        lines = [line if line.startswith(" ") else _wrapped(line) for line in whole.splitlines()]
        shown = [f"  python -m {module} {example}".rstrip() for example in examples]
        last = "--version prints versions; --tyro-write-completion SHELL FILE writes completion."
        say("\n".join([*lines, "", "examples:", *shown, "", last]))


def _wrapped(line: str) -> str:
    indent = "    " if line.startswith("usage:") else ""
    return textwrap.fill(line, HELP_WIDTH, subsequent_indent=indent, break_on_hyphens=False)


class _Group(dict[str, Any]):
    """Values of one group of options."""

    fields: tuple[StructFieldSpec, ...] = ()


def _registry(groups: Mapping[str, str]) -> ConstructorRegistry:
    """Parser rules: short value names, no empty defaults, groups of options."""
    registry, asked = ConstructorRegistry(), set[Any]()

    @registry.struct_rule
    def rule(info: StructTypeInfo) -> StructConstructorSpec | None:
        if isinstance(info.type, type) and issubclass(info.type, _Group):
            return StructConstructorSpec(lambda **values: _Group(values), info.type.fields)
        if not is_dataclass(info.type) or info.type in asked:
            return None
        asked.add(info.type)  # the parser's own rule answers
        spec = ConstructorRegistry.get_struct_spec(info)
        asked.remove(info.type)
        assert isinstance(spec, StructConstructorSpec)
        fields = _grouped([_plain(field) for field in spec.fields], groups)

        def make(**values: Any) -> Any:
            return info.type(**_flat(values))

        make.__doc__ = info.type.__doc__
        return StructConstructorSpec(make, tuple(fields))

    return registry


def _plain(field: StructFieldSpec) -> StructFieldSpec:
    """A field as --help shows it."""
    text = field.helptext() if callable(field.helptext) else field.helptext
    return replace(field, type=_shown(field.name, field.type, field.default, " ".join((text or "").split())))


def _plain_function(function: Callable[..., T]) -> Callable[..., T]:
    """A function whose parameters are shown as options, with the texts of its docstring."""

    def call(*positional: Any, **options: Any) -> T:
        return function(*positional, **options)

    signature, hints = inspect.signature(function), get_type_hints(function, include_extras=True)
    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__annotations__ = hints | {
        name: _shown(name, hints[name], item.default, None) for name, item in signature.parameters.items()
    }
    call.__doc__ = function.__doc__
    return call


def _shown(name: str, kind: Any, default: Any, text: str | None) -> Any:
    """A type with a short name for its values, and its default if informative."""
    flag = isinstance(default, bool)
    metavar = None if flag else _metavar(kind)
    if metavar is not None and tyro.conf.Positional in get_args(kind):
        metavar = name.upper() + " ..." * metavar.endswith("...")
        metavar = f"[{metavar}]" if default == () else metavar
    hint = "" if flag or default in {None, ()} else lambda value: f"(default: {value})" if value else "(required)"
    return Annotated[kind, tyro.conf.arg(metavar=metavar, help_behavior_hint=hint, help=text)]


def _metavar(kind: Any) -> str:
    """Placeholder for a value of a type: INT, TEXT, {eager,compile}; with ... for several."""
    kinds = [part for part in get_args(kind) if part is not NoneType]
    match get_origin(kind):
        case None:
            return "TEXT" if kind is str else kind.__name__.upper()
        case origin if origin is Literal:
            return f"{{{','.join(map(str, kinds))}}}"
        case origin if origin in (Union, UnionType):
            return ",".join(map(_metavar, kinds)).replace("},{", ",")
        case origin if origin is tuple and Ellipsis not in kinds:
            return " ".join(map(_metavar, kinds))
    return _metavar(kinds[0]) + (" ..." if Ellipsis in kinds else "")


def _grouped(fields: Sequence[StructFieldSpec], groups: Mapping[str, str]) -> Iterator[StructFieldSpec]:
    """Ungrouped fields, then one field per group."""
    names = [field.name for field in fields]
    starts = [*(names.index(first) for first in groups.values()), len(fields)]
    yield from fields[: starts[0]]
    for title, start, end in zip(groups, starts, starts[1:], strict=False):
        kind = type(title, (_Group,), {"fields": tuple(fields[start:end])})
        yield StructFieldSpec(title, cast(type, tyro.conf.OmitArgPrefixes[kind]), tyro.MISSING)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Option values by name, groups flattened."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= value if isinstance(value, _Group) else {name: value}
    return flat
