"""What trends, and what trends among those like a visitor: lists by context, and how several contexts become one list.

A context is a key like `country:GB`, `device:mobile` or `category:garden`; the empty key is everybody. The list for a
visitor is that of everybody, each item's share multiplied by how much more it is wanted in each of the visitor's
contexts (naive Bayes); a context that few events speak for is drawn towards everybody, an unknown one changes nothing.
"""

import re
from collections import defaultdict
from collections.abc import Mapping

from features.context import country_of, device_of, region_of

Trends = Mapping[str, tuple[tuple[str, float], ...]]  # by context (item_id, weight), most wanted first
EVERYBODY = ""
LONGEST = 1_000  # items of the list of everybody
LONGEST_IN_CONTEXT = 200
PRIOR = 100.0  # weight of events, as everybody has them, that a context is taken to have had beside its own
_CODE = re.compile(r"[A-Z]{2}")
_DEVICES = frozenset({"mobile", "tablet", "desktop"})


def context_key(kind: str, value: str) -> str:
    """The key of a context; empty where the value is none that lists are kept for, so that their number is bounded."""
    known = {"country": bool(_CODE.fullmatch(value)), "device": value in _DEVICES, "category": value != ""}
    return f"{kind}:{value}" if known[kind] else EVERYBODY


def contexts_of(given: Mapping[str, object], category: str = "") -> tuple[str, ...]:
    """The contexts of a request.

    Args:    given: may say `country`, `locale`, `device` (a kind of device or a browser's name), as sent; category: of
             the item that is looked at.
    """
    if not given and not category:
        return ()
    text = {name: str(given.get(name) or "") for name in ("country", "locale", "device")}
    country = country_of(text["country"]) or region_of(text["locale"])
    found = (("country", country), ("device", device_of(text["device"])), ("category", category))
    return tuple(key for kind, value in found if (key := context_key(kind, value)))


def trends_of(
    everybody: Mapping[str, float], contexts: Mapping[str, Mapping[str, float]], categories: Mapping[str, str]
) -> Trends:
    """The lists from weights by item; those of categories from everybody's.

    Args:    contexts: weights by item of each context; categories: of items.
    """
    grouped: dict[str, dict[str, float]] = defaultdict(dict)
    for item, weight in everybody.items():
        grouped[context_key("category", categories.get(item, ""))][item] = weight
    grouped.pop(EVERYBODY, None)
    found = {key: _ordered(weights, LONGEST_IN_CONTEXT) for key, weights in {**grouped, **contexts}.items()}
    return {EVERYBODY: _ordered(everybody, LONGEST), **{key: rows for key, rows in sorted(found.items()) if rows}}


def in_context(trends: Trends, keys: tuple[str, ...]) -> tuple[tuple[str, float], ...]:
    """The list for a visitor of these contexts, most wanted first; weights are shares of attention, from 0 to 1.

    It takes about a millisecond: whoever asks often keeps it by `keys` for as long as the trends are the same.
    """
    everybody = dict(trends.get(EVERYBODY, ()))
    known = [dict(trends[key]) for key in keys if key in trends]
    for rows in known:
        for item, weight in rows.items():  # what a context has and everybody's list is too short for
            everybody[item] = max(everybody.get(item, 0.0), weight)
    total = sum(everybody.values())
    share = {item: weight / total for item, weight in everybody.items()}
    score = dict(share)
    for rows in known:
        every = sum(rows.values()) + PRIOR
        for item in score:
            score[item] *= (rows.get(item, 0.0) / share[item] + PRIOR) / every
    return _ordered(score, LONGEST)


def _ordered(weights: Mapping[str, float], most: int) -> tuple[tuple[str, float], ...]:
    wanted = ((item, float(weight)) for item, weight in weights.items() if weight > 0)
    return tuple(sorted(wanted, key=lambda each: (-each[1], each[0]))[:most])
