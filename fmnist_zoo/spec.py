"""What the registry knows of a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fmnist_zoo.options import convert_options, format_option, option_types
from fmnist_zoo.recipe import Optimizer, Recipe

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """A registered model: what it is, how it is built, and how it is trained.

    Attributes:
        name: the name it is created by.
        family: which kind of architecture it is.
        summary: one line for lists and tables.
        reference: the paper or document that it follows.
        build: called with the options as keywords, returns the module.
        defaults: option values that this name sets; they hold unless overridden.
        tags: groups it can be selected by (`tutorials`).
        recipe: its own recipe, for the `best` track; None where it has none.
        published: the recipe of the tutorial it comes from; None where there is none.
        tuned: learning rate and weight decay by optimizer, tuned for the `equal` track's recipe; empty where untuned.
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

    def options(self, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """The options to build with, converted and checked by name and type; ValueError where they don't fit."""
        return convert_options(self.name, option_types(self.build), {**self.defaults, **overrides})

    def changed(self, overrides: Mapping[str, Any]) -> dict[str, str]:
        """Which overrides differ from the default, as text: what a record says of the model's options."""
        values = self.options(overrides)
        defaults = option_defaults(self)
        # Options without types are read back as Python literals, so they are written as such.
        text = repr if option_types(self.build) is None else format_option
        return {
            name: text(values[name]) for name in overrides if name not in defaults or values[name] != defaults[name]
        }


def option_defaults(spec: ModelSpec) -> dict[str, Any]:
    """The value of each option of a model where nothing is overridden."""
    parameters = inspect.signature(spec.build).parameters.values()
    own = {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}
    return {**own, **spec.options({})}
