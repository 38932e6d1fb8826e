"""Model specifications, and model options: read from keyword arguments, converted from text and back."""

from __future__ import annotations

import ast
import difflib
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from fmnist_zoo.recipe import Optimizer, Recipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A registered model: description, builder and recipes.

    Attributes:
        name: of the model.
        family: kind of architecture.
        summary: one line for lists and tables.
        reference: paper or document.
        build: takes the options as keywords and returns the module.
        defaults: option values set by this name, unless overridden.
        tags: groups to select it by (`tutorials`).
        recipe: for the `best` track; None without one.
        published: recipe of its tutorial; None without one.
        tuned: learning rate and weight decay by optimizer, tuned for the `equal` track's recipe; empty if untuned.
        plugin: file path or name of the installed entry point that registered it; None for this package and timm.
    """

    name: str
    family: str
    summary: str
    reference: str
    build: Callable[..., nn.Module]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    recipe: Recipe | None = None
    published: Recipe | None = None
    tuned: Mapping[Optimizer, Mapping[str, float]] = field(default_factory=dict)
    plugin: str | None = None

    def options(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """Options to build with, converted and checked by name and type; ValueError if invalid."""
        return convert_options(self.name, option_types(self.build), {**self.defaults, **overrides})

    def changed(self, overrides: Mapping[str, Any]) -> dict[str, str]:
        """Overrides that differ from the default, as text for records."""
        values = self.options(overrides)
        defaults = option_defaults(self)
        # Untyped options are read back as Python literals.
        text = repr if option_types(self.build) is None else format_option
        return {
            name: text(values[name]) for name in overrides if name not in defaults or values[name] != defaults[name]
        }


def option_defaults(spec: ModelSpec) -> dict[str, Any]:
    """Default value of each option of a model."""
    parameters = inspect.signature(spec.build).parameters.values()
    own = {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}
    return {**own, **spec.options({})}


def option_types(build: Callable[..., Any]) -> dict[str, Any] | None:
    """Options of a builder: its keyword-only arguments with their annotations.

    None if the builder takes any keyword (`**kwargs`), as timm's do: names can't be checked.
    """
    parameters = inspect.signature(build).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    hints = get_type_hints(build.__init__ if inspect.isclass(build) else build)
    return {
        parameter.name: hints[parameter.name] for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
    }


def nearest(name: str, known: Iterable[str]) -> str:
    """Hint for an error message: `; did you mean 'x'?`, or nothing if no known name is similar."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def convert_options(owner: str, kinds: Mapping[str, Any] | None, values: Mapping[str, Any]) -> dict[str, Any]:
    """Option values for a builder, converted from text if needed.

    Args:
        owner: the model's name, for error messages.
        kinds: annotations by option name, from `option_types`; None accepts any name.
        values: option values, typed or as text (`"256-128-64"` for a tuple of integers).

    Raises:
        ValueError: an option is unknown or its value invalid; the message suggests the closest option or the form.
    """
    converted = {}
    for name, value in values.items():
        if kinds is None:
            converted[name] = _literal(value)
        elif name in kinds:
            converted[name] = _convert(f"{owner}.{name}", kinds[name], value)
        else:
            raise ValueError(
                f"{owner} has no option {name!r}{nearest(name, kinds)} (options: {', '.join(kinds) or 'none'})"
            )
    return converted


def format_option(value: Any) -> str:
    """Text for `convert_options`: `512-256` for (512, 256)."""
    return "-".join(str(item) for item in value) if isinstance(value, tuple) else str(value)


def _convert(label: str, kind: Any, value: Any) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is None or value == "None":
            return None
        return _convert(label, next(argument for argument in arguments if argument is not types.NoneType), value)
    if origin is Literal:
        if value in arguments:
            return value
        raise ValueError(f"{label}={value!r} is not one of {', '.join(map(repr, arguments))}")
    if origin is tuple:
        parts = value.split("-") if isinstance(value, str) else value
        if not isinstance(parts, (tuple, list)):
            raise ValueError(f"{label}={value!r} is not a list of whole numbers such as 256-128-64")
        try:
            return tuple(_convert(label, arguments[0], part) for part in parts)
        except ValueError:
            raise ValueError(f"{label}={value!r} is not a list of whole numbers such as 256-128-64") from None
    return _scalar(label, kind, value)


def _scalar(label: str, kind: type, value: Any) -> Any:
    forms = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if isinstance(value, bool) or (kind is int and isinstance(value, float)):
            raise ValueError(value)
        return kind(value)
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{label}={value!r} is not {forms[kind]}") from None


def _literal(value: Any) -> Any:
    """Text as a Python literal if it is one, for builders with untyped options."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def split_setting(text: str) -> tuple[str, str, str]:
    """Model, option and value of a `--set MODEL.OPTION=VALUE`; ValueError for another form."""
    target, equals, value = text.partition("=")
    model, dot, option = target.rpartition(".")
    if not (equals and dot and option):
        raise ValueError(f"--set {text!r} is not of the form MODEL.OPTION=VALUE, such as mlp.hidden=256-128-64")
    return model, option, value
