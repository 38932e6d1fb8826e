"""Whether a value read from JSON is of a type: TypedDicts and plain types, as records are made of."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints, is_typeddict


def mismatch(value: object, expected: Any, where: str) -> str | None:
    """Say where a JSON value is not of a type; None where all of it is.

    Keys that the type doesn't name are left alone: a part may grow without a new schema version.

    Args:
        value: what JSON gave.
        expected: a TypedDict, whose keys may be left out where it says so, `X | None`, a Literal, `list[X]`,
            `dict[str, X]`, `Any` or a plain type.
        where: the value's name, for the sentence.
    """
    origin, arguments = get_origin(expected), get_args(expected)
    if expected is Any or (value is None and NoneType in arguments):
        return None
    if NoneType in arguments:
        (expected,) = (argument for argument in arguments if argument is not NoneType)
        return mismatch(value, expected, where)
    if is_typeddict(expected):
        left_out = expected.__optional_keys__.difference(value if isinstance(value, dict) else ())
        return fields_mismatch(value, {k: v for k, v in _hints(expected).items() if k not in left_out}, where)
    if origin is Literal:
        return None if value in arguments else f"{where} is {value!r:.60}, not one of {', '.join(map(str, arguments))}"
    if origin is list and isinstance(value, list):
        if arguments[0] in (int, float) and all(_fits(item, arguments[0]) for item in value):
            return None  # the many samples and counts, without a sentence's place for each
        faults = (mismatch(item, arguments[0], f"{where}[{index}]") for index, item in enumerate(value))
        return next(filter(None, faults), None)
    if origin is dict and isinstance(value, dict):
        faults = (mismatch(item, arguments[1], f"{where}.{key}") for key, item in value.items())
        return next(filter(None, faults), None)
    kind = origin or expected
    return None if _fits(value, kind) else f"{where} is {value!r:.60}, not {kind.__name__}"


def fields_mismatch(value: object, kinds: Mapping[str, Any], where: str) -> str | None:
    """The same for an object whose fields have these types; all of them must be there."""
    if not isinstance(value, dict):
        return f"{where} is {value!r:.60}, not an object"
    if missing := [name for name in kinds if name not in value]:
        return f"{where} has no {', '.join(missing)}"
    faults = (mismatch(value[name], kind, f"{where}.{name}") for name, kind in kinds.items())
    return next(filter(None, faults), None)


_hints = functools.cache(get_type_hints)


def _fits(value: object, kind: type) -> bool:
    """JSON's idea of a type: an integer is a float too, a boolean is neither, and numbers are finite and of 64 bits."""
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if isinstance(value, int):
        return kind in (int, float) and abs(value) < 2**63
    if isinstance(value, float):
        return kind is float and math.isfinite(value)
    return isinstance(value, kind)
