"""How every command of both packages reads its command line."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import tyro

T = TypeVar("T")

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """A command line: what it says, and how it can be given again.

    Attributes:
        options: of the type that was asked for; what a function returned, where a function was.
        command: the command line, quoted for a shell.
    """

    options: T
    command: str


def parse(
    target: Callable[..., T], arguments: Sequence[str] | None, module: str, *, description: str | None = None
) -> Parsed[T]:
    """Read a command line by a typed dataclass, or by a function, which is then called.

    Args:
        target: the dataclass or function; see https://brentyi.github.io/tyro.
        arguments: None for those of this process.
        module: what stands behind `python -m`.
        description: what --help says first. Default: the target's docstring.

    Raises:
        SystemExit: with 2, and the reason printed, where the arguments are wrong; with 0 after --help.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if repeated := _repeated_option(arguments):
        print(f"error: {repeated} is given twice; give all its values after one {repeated}", file=sys.stderr)
        raise SystemExit(2)
    options = tyro.cli(target, args=arguments, prog=f"python -m {module}", description=description)
    return Parsed(options, shlex.join(["python", "-m", module, *arguments]))


def _repeated_option(arguments: Sequence[str]) -> str | None:
    """An option that stands twice on a command line: the parser would drop the values of the first without a word."""
    names = [argument.partition("=")[0].replace("_", "-") for argument in arguments if argument.startswith("--")]
    return next((name for name in names if names.count(name) > 1), None)
