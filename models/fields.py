"""A configuration's fields from texts: as a registry keeps them, or as somebody types them.

`als.embedding_size=64` is a field of a model; `blend.sasrec.members=3` one of a member of the blend, which has its
configuration as texts in `member_settings`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from features.errors import BadInput

S = TypeVar("S")

MEMBER_SETTINGS = "member_settings"
LATER = frozenset({MEMBER_SETTINGS, "device", "visits_beyond"})  # fields that models stored before them lack


def defaults(settings: type[Any]) -> dict[str, object]:
    """The fields of a configuration that have a default, and those."""
    return {field.name: field.default for field in fields(settings)}


def stored(settings: type[S], params: Mapping[str, Any]) -> S:
    """The configuration of a model that was stored; only fields of LATER may be missing, and have their defaults then.

    Raises:  KeyError, ValueError: naming the field that is missing, or whose value it can't have.
    """
    known = defaults(settings)
    given = {name: default for name, default in known.items() if name in LATER} | {**params}
    for name, default in known.items():
        kinds = (int, float) if isinstance(default, float) else (type(default),)
        if type(given[name]) not in kinds:
            raise ValueError(f"{name}={given[name]!r}")
    try:
        return settings(**{name: given[name] for name in known})
    except BadInput as error:
        raise ValueError(str(error)) from error


def typed(settings: type[Any], name: str, text: str, whose: str) -> Any:
    """The value of a field, of the type that its default has.

    Args:    whose: the model, to be named where something is wrong.
    Raises:  BadInput: there is no such field, or the text is no value of it.
    """
    known = defaults(settings)
    if name not in known:
        raise BadInput(f"{whose} has no parameter {name!r}; known ones: {', '.join(known)}", name)
    kind: Any = type(known[name])
    if kind is tuple:
        return tuple(part for part in text.split(",") if part)
    if kind is bool:
        if text not in {"True", "False"}:
            raise BadInput(f"{whose}.{name} takes True or False, not {text!r}", name)
        return text == "True"
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if value != value:  # noqa: PLR0124 - only NaN isn't itself
        wanted = "a whole number" if kind is int else "a number"
        raise BadInput(f"{whose}.{name} takes {wanted}, not {text!r}", name)
    return value


def chosen(words: Sequence[str], settings: Mapping[str, type[Any]]) -> dict[str, dict[str, object]]:
    """What was typed, by model: `MODEL.FIELD=VALUE`, or `MODEL.MEMBER.FIELD=VALUE` of a member.

    Args:    settings: the configuration of each model by its name.
    Raises:  BadInput: naming what isn't of this form, or what there isn't.
    """
    found: dict[str, dict[str, Any]] = {}
    for word in words:
        left, equals, text = word.partition("=")
        model, _, field = left.partition(".")
        if not equals or not field:
            raise BadInput(f"--set takes MODEL.FIELD=VALUE, for example als.embedding_size=64, not {word!r}", "set")
        if model not in settings:
            raise BadInput(f"--set {word} names no model; known ones: {', '.join(settings)}", "set")
        own = found.setdefault(model, {})
        if "." in field and MEMBER_SETTINGS in defaults(settings[model]):
            own[MEMBER_SETTINGS] = (*own.get(MEMBER_SETTINGS, ()), f"{field}={text}")
        else:
            own[field] = typed(settings[model], field, text, model)
    return found
