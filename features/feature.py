"""How a feature is declared: one line says who it is about, which events it counts, and how they are added up.

    count("views_7d", VIEWED, "7d")
    total("spend_90d", ORDERED, "90d", of="cents", by="currency", unit="minor units")
    ratio("cart_rate_30d", "adds_30d", "views_30d")

`of` and `where` name a column of `features.columns`, `by` a text column or hour, weekday, event. A feature that names a
line's column (item, category, price, ...) looks at the lines of its events, any other at the events themselves.

Of an item `by="with"` counts the other items of the same event, and `by="beside"` those that the same customer viewed
right before or after it within a session: the newest 100 touches of each raw id have a say in that.
"""

from dataclasses import dataclass, replace
from typing import Any

Where = tuple[str, str, int | str]  # column, one of == != < <= > >=, value
Names = str | tuple[str, ...]


@dataclass(frozen=True)
class Feature:
    """One declared feature; `kind` says how it is read, `parts` name the features that it is computed from.

    `entity` is customer, item, global, or for display `customer x category` and `session`, which are read from a
    customer's state. `default` is its value where nothing was counted.
    """

    name: str
    kind: str
    events: tuple[str, ...] = ()
    window: str = ""
    of: str = "one"
    by: str = ""
    where: Where | None = None
    entity: str = "customer"
    parts: tuple[str, ...] = ()
    argument: float = 0.0
    keys: tuple[int, ...] = ()
    dtype: str = "int"
    unit: str = "events"
    default: Any = 0
    owner: str = "kindred"
    description: str = ""


def count(name: str, events: Names, window: str = "", **more: Any) -> Feature:
    """How many; with `by`, how many of each key (by hour or weekday, UTC, over a window with hops of an hour)."""
    return _feature(name, "sum", events, window, **_keyed(more))


def total(name: str, events: Names, window: str = "", *, of: str, **more: Any) -> Feature:
    """The sum of a number; with `by`, of each key."""
    return _feature(name, "sum", events, window, of=of, **_keyed(more))


def least(name: str, events: Names, window: str = "", *, of: str, **more: Any) -> Feature:
    """The smallest value of a number."""
    return _feature(name, "min", events, window, of=of, default=None, **more)


def most(name: str, events: Names, window: str = "", *, of: str, **more: Any) -> Feature:
    """The largest value of a number."""
    return _feature(name, "max", events, window, of=of, default=None, **more)


def mean(name: str, events: Names, window: str = "", *, of: str, **more: Any) -> Feature:
    """The mean of a number over the events or lines that have it."""
    return _feature(name, "mean", events, window, of=of, default=None, dtype="float", **more)


def quantile(name: str, events: Names, window: str = "", *, of: str, q: float, **more: Any) -> Feature:
    """A quantile of a number that is never negative, within 3.2% of it."""
    return _feature(name, "quantile", events, window, of=of, argument=q, default=None, dtype="float", **more)


def distinct(name: str, events: Names, window: str = "", *, by: str, **more: Any) -> Feature:
    """How many different values.

    Exact for whoever has met at most 256 of them, ever. Beyond that 256 are kept, a uniform sample: all of them
    together are estimated within about 6%, those of a window by how many of the sample lie in it.
    """
    return _feature(name, "distinct", events, window, by=by, unit=f"{by} values", **more)


def top(name: str, events: Names, window: str = "", *, by: str, **more: Any) -> Feature:
    """The key with the largest sum; ties go to the smaller key."""
    return _feature(name, "top", events, window, by=by, **{"dtype": "str", "default": None, "unit": "-"} | more)


def share(name: str, events: Names, window: str = "", *, by: str, keys: tuple[int, ...], **more: Any) -> Feature:
    """What part of all falls on some keys of hour or weekday (UTC; Monday is 0), over a window with hops of an hour."""
    options = {"dtype": "float", "default": None, "unit": "share"} | more
    return _feature(name, "share", events, window, by=by, keys=keys, **options)


def last(name: str, events: Names, *, by: str, **more: Any) -> Feature:
    """The newest value of a text; of two at the same millisecond, the one with the larger hash."""
    return _feature(name, "last", events, by=by, **{"dtype": "str", "default": None, "unit": "-"} | more)


def since(name: str, events: Names, **more: Any) -> Feature:
    """Time since the newest one."""
    return _feature(name, "since", events, unit="ms", default=None, **more)


def latest(name: str, events: Names, **more: Any) -> Feature:
    """Time of the newest one, ms UTC."""
    return _feature(name, "latest", events, unit="ms UTC", default=None, **more)


def first(name: str, events: Names, **more: Any) -> Feature:
    """Time of the earliest one, ms UTC."""
    return _feature(name, "first", events, unit="ms UTC", default=None, **more)


def decayed(name: str, events: Names, window: str, *, by: str, half_life_days: float, **more: Any) -> Feature:
    """The sum of each key, each day counting half of what it did a half-life before."""
    options = {"of": "weight", "dtype": "map<str,float>", "default": {}, "unit": "weight"} | more
    return _feature(name, "decayed", events, window, by=by, argument=half_life_days, **options)


def recent(name: str, events: Names, n: int, **more: Any) -> Feature:
    """The newest n (time, item_id, event) among the newest 100 touches, newest first."""
    return _feature(name, "recent", events, argument=n, dtype="list", default=[], unit="touches", **more)


def session(name: str, what: str, events: Names = (), window: str = "", **more: Any) -> Feature:
    """A read of sessions, which end after 30 minutes without an event.

    Args:    what: of the running session `events` (of these names) or `duration` (ms); over a window `sessions` or
             `mean duration` (ms). Without a session, 0. A session is seen as far as its half-hours lie in the window,
             the running one in the last 24 hours.
    """
    options: dict[str, Any] = {"entity": "session", "dtype": "float" if what.startswith("mean") else "int"}
    return _feature(name, "session", events, window, of=what, **options | more)


def ratio(name: str, part: str, whole: str, scale: float = 1.0, **more: Any) -> Feature:
    """One feature over another, times `scale`; the default where the other is 0."""
    options = {"dtype": "float", "unit": "ratio", "default": None} | more
    return _feature(name, "ratio", (), parts=(part, whole), argument=scale, **options)


def about(entity: str, *features: Feature) -> tuple[Feature, ...]:
    """The same features of another entity: `item` or `global`."""
    return tuple(replace(feature, entity=entity) for feature in features)


def _feature(name: str, kind: str, events: Names, window: str = "", **more: Any) -> Feature:
    named = (events,) if isinstance(events, str) else tuple(events)
    return Feature(name=name, kind=kind, events=named, window=window, **more)


def _keyed(more: dict[str, Any]) -> dict[str, Any]:
    return ({"dtype": "map<str,int>", "default": {}} | more) if more.get("by") else more
