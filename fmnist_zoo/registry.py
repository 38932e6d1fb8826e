"""Model registry: register, list and build models of this package, plug-ins and timm."""

from __future__ import annotations

import fnmatch
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fmnist_zoo.recipe import Optimizer, Recipe
from fmnist_zoo.spec import ModelSpec, nearest

if TYPE_CHECKING:
    from torch import nn

Build = TypeVar("Build", bound=Callable[..., Any])

FAMILIES = ("mlp", "cnn", "unet_encoder", "lstm", "transformer")
"""Models of `all`: the reference model of each family, in table order."""

PLUGIN_GROUP = "fmnist_zoo.models"


_REGISTRY: dict[str, ModelSpec] = {}
_LOADING: list[str] = []
"""Plug-ins being loaded, innermost last."""
_LOADED = set[str]()
"""`models` once the built-in models and installed plug-ins are loaded."""


def register_model(
    name: str,
    *,
    family: str,
    summary: str,
    reference: str,
    defaults: Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    recipe: Recipe | None = None,
    published: Recipe | None = None,
    tuned: Mapping[Optimizer, Mapping[str, float]] | None = None,
) -> Callable[[Build], Build]:
    """Register the decorated class or function as a model; its keyword-only arguments become the model's options.

    One class may be registered under several names with different `defaults`. The arguments are those of ModelSpec.

    Raises:
        ValueError: the name is taken or not a plain identifier, or `defaults` has an unknown option.
    """

    def decorate(build: Build) -> Build:
        if not name.isidentifier():
            raise ValueError(f"model name {name!r} must be a plain identifier, such as 'my_cnn'")
        if name in _REGISTRY:
            other = _REGISTRY[name].build
            raise ValueError(
                f"model name {name!r} is already taken by {other.__module__}.{other.__qualname__}; choose another"
            )
        spec = ModelSpec(
            name=name,
            family=family,
            summary=summary,
            reference=reference,
            build=build,
            defaults=dict(defaults or {}),
            tags=frozenset(tags),
            recipe=recipe,
            published=published,
            tuned=dict(tuned or {}),
            plugin=_LOADING[-1] if _LOADING else None,
        )
        spec.options({})
        _REGISTRY[name] = spec
        return build

    return decorate


def create_model(name: str, **overrides: Any) -> nn.Module:
    """Build a model: images `(batch, 1, 28, 28)` float in, logits `(batch, 10)` out.

    Args:
        name: a registered name, or `timm/NAME` for any timm model.
        **overrides: the model's options, typed or as the text of the command line (`hidden="256-128"`).

    Raises:
        ValueError: the name or an option is unknown (the message suggests the closest), or a value is invalid.
    """
    spec = get_spec(name)
    return spec.build(**spec.options(overrides))


def get_spec(name: str) -> ModelSpec:
    """Specification of a model; ValueError suggesting the closest name if unknown."""
    if name.startswith("timm/"):
        from fmnist_zoo.timm_adapter import timm_spec

        return timm_spec(name)
    load_models()
    if name not in _REGISTRY:
        known = "`python -m fmnist_zoo list` shows all; timm models are timm/NAME"
        raise ValueError(f"unknown model {name!r}{nearest(name, _REGISTRY)} ({known})")
    return _REGISTRY[name]


def list_models(pattern: str = "*", *, tag: str | None = None) -> list[str]:
    """Names of registered models that match a glob, sorted; `timm/GLOB` lists timm's."""
    if pattern.startswith("timm/"):
        import timm

        return [f"timm/{name}" for name in timm.list_models(pattern.removeprefix("timm/"))]
    load_models()
    return sorted(
        name
        for name, spec in _REGISTRY.items()
        if fnmatch.fnmatchcase(name, pattern) and (tag is None or tag in spec.tags)
    )


def select_models(patterns: Sequence[str]) -> list[str]:
    """Model names selected by names, globs, tags (`tutorials`), `all` and timm names; in order, without repeats.

    Raises:
        ValueError: a pattern selects nothing; the message suggests the closest name.
    """
    load_models()
    selected: dict[str, None] = {}
    for pattern in patterns:
        if pattern == "all":
            names = list(FAMILIES)
        elif by_tag := list_models(tag=pattern):
            names = by_tag
        elif any(character in pattern for character in "*?["):
            names = list_models(pattern)
            if not names:
                raise ValueError(f"no model matches {pattern!r} (`python -m fmnist_zoo list` shows all)")
        else:
            names = [get_spec(pattern).name]
        selected.update(dict.fromkeys(names))
    return list(selected)


def load_plugin(path: Path) -> None:
    """Run a Python file that registers models, once per file.

    Raises:
        ValueError: the file is missing or fails.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise ValueError(f"plug-in {path} is not a file; name a Python file that calls register_model")
    name = f"fmnist_zoo_plugin_{path.stem}_{abs(hash(str(path))):x}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"plug-in {path} doesn't end in .py; name a Python file that calls register_model")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _registering(str(path)):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(f"plug-in {path} failed: {type(error).__name__}: {error}") from error


def load_plugins(plugins: Collection[str]) -> None:
    """Load the built-in models and only these plug-ins, named as in `ModelSpec.plugin`.

    Call it before anything else here: loaded models stay.
    """
    load_models(installed=plugins)
    for plugin in plugins:
        if Path(plugin).is_absolute():
            load_plugin(Path(plugin))


def load_models(
    *,
    installed: Collection[str] | None = None,
    leave_out: Collection[str] = (),
    say: Callable[[str], None] = lambda name: None,
) -> None:
    """Import every module of fmnist_zoo.models, then the installed plug-ins, which registers their models.

    Only the first call has an effect. A plug-in that can't be imported is skipped with a warning.

    Args:
        installed: entry points to load; None for all.
        leave_out: entry points to skip.
        say: called with each name before it is loaded.
    """
    if _LOADED:
        return
    _LOADED.add("models")
    from fmnist_zoo import models

    for module in pkgutil.iter_modules(models.__path__):
        importlib.import_module(f"{models.__name__}.{module.name}")
    for entry_point in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        name = entry_point.name
        if name in leave_out or (installed is not None and name not in installed):
            continue
        say(name)
        try:
            with _registering(name):
                entry_point.load()
        except (Exception, SystemExit) as error:  # noqa: BLE001  # one broken plug-in must not stop the others
            warnings.warn(f"skipping installed plug-in {name}: {type(error).__name__}: {error}", stacklevel=2)


@contextmanager
def _registering(plugin: str) -> Iterator[None]:
    _LOADING.append(plugin)
    try:
        yield
    finally:
        _LOADING.pop()
