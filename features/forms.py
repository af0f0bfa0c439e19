"""What the parts of a definition are made of: texts, numbers and tuples, before anybody looks at what they say."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from features.errors import BadFeature
from features.feature import Feature

NUMBERS, MAPS = ("int", "float"), ("map<str,int>", "map<str,float>")
DTYPES: Mapping[str, tuple[str, ...]] = {
    "sum": ("int", "map<str,int>"),
    "min": ("int",),
    "max": ("int",),
    "mean": ("float",),
    "quantile": ("float",),
    "distinct": ("int",),
    "top": ("str", "int"),
    "share": ("float",),
    "decayed": ("map<str,float>",),
    "last": ("str",),
    "since": ("int",),
    "latest": ("int",),
    "first": ("int",),
    "recent": ("list",),
    "session": NUMBERS,
    "ratio": ("float",),
}
_DEFAULTS: Mapping[str, type | tuple[type, ...]] = {"int": int, "float": (int, float), "str": str, "list": list}
_TEXTS = ("name", "kind", "window", "of", "by", "entity", "dtype", "unit", "owner", "description")
_TUPLES: Mapping[str, tuple[type, str]] = {
    "events": (str, "texts"),
    "parts": (str, "texts"),
    "keys": (int, "whole numbers"),
}
_WHERE_PARTS = 3


def check_form(feature: Feature) -> None:
    """See that every part of a definition is of the type that it is declared with.

    Raises:  BadFeature: with the part that is wrong, and what would do.
    """
    if not isinstance(feature, Feature):
        raise BadFeature(f"a definition is made by count, total, ratio and the like, got {feature!r}", "name")
    for part in _TEXTS:
        value = getattr(feature, part)
        if not isinstance(value, str):
            raise BadFeature(f"{part} must be a text, got {value!r}", part)
    for part, (kind, called) in _TUPLES.items():
        value = getattr(feature, part)
        if not isinstance(value, tuple) or any(not _is(each, kind) for each in value):
            raise BadFeature(f"{part} must be a tuple of {called}, got {value!r}", part)
        if len({*value}) < len(value) and part != "parts":
            raise BadFeature(f"{part} names something twice: {value!r}", part)
    if not _is(feature.argument, (int, float)) or not isfinite(feature.argument):
        raise BadFeature(f"a number is needed, got {feature.argument!r}", "argument")
    _check_where(feature.where)


def check_dtype(feature: Feature) -> None:
    """See that what a kind gives is declared as that, and that the default is of it; the kind is known.

    Raises:  BadFeature: with the part that is wrong, and what would do.
    """
    allowed = DTYPES[feature.kind]
    if feature.kind == "sum":
        allowed = allowed[1:] if feature.by else allowed[:1]
    if feature.dtype not in allowed:
        raise BadFeature(f"{feature.kind} gives {' or '.join(allowed)}, not {feature.dtype!r}", "dtype")
    wanted = _DEFAULTS.get(feature.dtype, dict)
    if feature.default is not None and not _is(feature.default, wanted):
        raise BadFeature(f"the default of {feature.dtype} can't be {feature.default!r}", "default")


def _check_where(where: Any) -> None:
    if where is None:
        return
    if not isinstance(where, tuple) or len(where) != _WHERE_PARTS:
        raise BadFeature(f"a condition is (column, comparison, value), got {where!r}", "where")
    if not all(isinstance(each, str) for each in where[:2]):
        raise BadFeature(f"a condition begins with two texts, column and comparison, got {where!r}", "where")


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    """True and False are no numbers here."""
    return isinstance(value, kind) and not isinstance(value, bool)
