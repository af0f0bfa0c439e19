"""What a definition of a feature may say; what else it says is refused with where and why."""

from collections.abc import Mapping

from features.columns import EVENT_NUMBERS, EVENT_TEXTS, LINE_NUMBERS, LINE_TEXTS, NAMES
from features.errors import BadFeature
from features.feature import Feature
from features.windows import window

ENTITIES = ("customer", "item", "global", "session", "customer x category")
SHARED = frozenset({"item", "global"})  # added up over all customers, so they can only be sums
CALENDAR = ("hour", "weekday")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
NUMBERS = ("one", "weight", *EVENT_NUMBERS, *LINE_NUMBERS)
TEXTS = (*EVENT_TEXTS, *LINE_TEXTS)
LINES = frozenset((*LINE_NUMBERS, *LINE_TEXTS))
KEYS = (*TEXTS, *CALENDAR, "event", "with")
SESSION_READS = ("events", "duration", "sessions", "mean duration")
TIMELESS = frozenset({"since", "latest", "first", "last", "recent", "ratio"})
KINDS = frozenset(
    {"sum", "min", "max", "mean", "quantile", "distinct", "top", "share", "decayed", "session", *TIMELESS}
)
KEYED = frozenset({"distinct", "top", "share", "decayed", "last"})


def entity_of(feature: Feature) -> str:
    """Whose state a feature is read from: customer, item or global."""
    return feature.entity if feature.entity in SHARED else "customer"


def check(feature: Feature, earlier: Mapping[str, Feature]) -> None:
    """See that a feature can be used.

    Raises:  BadFeature: with the part that is wrong, and what would do.
    """
    _check_types(feature)
    if not feature.name.isidentifier() or feature.name != feature.name.lower():
        raise BadFeature("the name must be lower-case letters, digits and underscores", "name")
    if feature.kind not in KINDS:
        raise BadFeature(f"there is no kind {feature.kind!r}; known: {', '.join(sorted(KINDS))}", "kind")
    if feature.entity not in ENTITIES:
        raise BadFeature(f"there is no entity {feature.entity!r}; known: {', '.join(ENTITIES)}", "entity")
    if feature.entity in SHARED and feature.kind not in {"sum", "mean", "ratio"}:
        raise BadFeature(f"of a {feature.entity} only sums, means and ratios can be kept, not {feature.kind}", "kind")
    for name in feature.events:
        if name not in NAMES:
            raise BadFeature(f"there is no event {name!r}; features/events.py lists them", "events")
    _check_window(feature)
    _check_columns(feature)
    _check_argument(feature)
    if feature.where is not None:
        if feature.kind in {"session", "recent", "ratio"}:
            raise BadFeature(f"{feature.kind} has no condition", "where")
        _check_where(*feature.where)
    for part in feature.parts:
        other = earlier.get(part)
        if other is None or other.dtype not in {"int", "float"} or entity_of(other) != entity_of(feature):
            raise BadFeature(f"its part {part!r} must be a number of the same entity, declared before it", "parts")


def _check_types(feature: Feature) -> None:
    for part in ("name", "kind", "window", "of", "by", "entity"):
        value = getattr(feature, part)
        if not isinstance(value, str):
            raise BadFeature(f"{part} must be a text, got {value!r}", part)
    if isinstance(feature.argument, bool) or not isinstance(feature.argument, int | float):
        raise BadFeature(f"a number is needed, got {feature.argument!r}", "argument")


def _check_window(feature: Feature) -> None:
    span = window(feature.window)
    if feature.window and feature.kind in TIMELESS:
        raise BadFeature(f"{feature.kind} has no window, got {feature.window!r}", "window")
    if not feature.window and feature.kind == "decayed":
        raise BadFeature("what fades needs a window after which it is forgotten", "window")
    if not feature.window and feature.by in CALENDAR:
        raise BadFeature(f"by {feature.by} needs a window", "window")
    if feature.kind in {"distinct", "session"} and (span.ago or span.months > 0):
        raise BadFeature(f"{feature.kind} needs a window that ends now, got {feature.window!r}", "window")
    if feature.kind == "session":
        _check_session(feature, spans=bool(span.length), months=span.months >= 0)


def _check_session(feature: Feature, spans: bool, months: bool) -> None:
    if feature.of not in SESSION_READS:
        raise BadFeature(f"of sessions {feature.of!r} can't be read; known: {', '.join(SESSION_READS)}", "of")
    if (feature.of in {"events", "duration"}) == (spans or months) or months:
        wanted = "no window" if feature.of in {"events", "duration"} else "a window in days, such as 30d"
        raise BadFeature(f"{feature.of!r} of sessions needs {wanted}, got {feature.window!r}", "window")
    if feature.by or (feature.events and feature.of != "events"):
        raise BadFeature(
            "sessions are of all events, only the events of the running one can be chosen by name", "events"
        )


def _check_columns(feature: Feature) -> None:
    if feature.kind != "session" and feature.of not in NUMBERS:
        raise BadFeature(f"{feature.of!r} is no number of an event; known: {', '.join(NUMBERS)}", "of")
    if feature.kind in {"mean", "min", "max", "quantile"} and feature.of in {"one", "weight"}:
        raise BadFeature(f"{feature.kind} needs a number of an event, got {feature.of!r}", "of")
    if feature.by and feature.by not in KEYS:
        raise BadFeature(f"{feature.by!r} is no text of an event; known: {', '.join(KEYS)}", "by")
    if (feature.kind in KEYED) != bool(feature.by) and feature.kind != "sum":
        raise BadFeature(f"{feature.kind} {'needs a key' if feature.kind in KEYED else 'has no key'}", "by")
    if feature.by == "with" and feature.entity != "item":
        raise BadFeature("only an item has others with it in an order", "by")
    if feature.entity in SHARED and feature.by in CALENDAR:
        raise BadFeature(f"a {feature.entity} isn't counted by {feature.by}", "by")
    if feature.kind in {"last", "distinct"} and feature.by not in TEXTS:
        raise BadFeature(f"{feature.kind} is of a text of an event, not of {feature.by!r}", "by")
    if feature.kind in {"share"} and feature.by not in CALENDAR:
        raise BadFeature(f"a share is of hours or weekdays, not of {feature.by!r}", "by")


def _check_argument(feature: Feature) -> None:
    if feature.kind == "quantile" and not 0 < feature.argument < 1:
        raise BadFeature(f"a quantile lies between 0 and 1, got {feature.argument}", "q")
    if feature.kind == "decayed" and feature.argument <= 0:
        raise BadFeature("a half-life must be longer than 0 days", "half_life_days")


def _check_where(column: str, comparison: str, value: int | str) -> None:
    if comparison not in COMPARISONS:
        raise BadFeature(f"{comparison!r} compares nothing; known: {' '.join(COMPARISONS)}", "where")
    number = column in EVENT_NUMBERS or column in LINE_NUMBERS
    if not number and column not in TEXTS:
        raise BadFeature(f"{column!r} is no column of an event", "where")
    if number != (type(value) is int):
        kind = "a whole number" if number else "a text"
        raise BadFeature(f"{column} is compared with {kind}, got {value!r}", "where")
    if not number and (comparison not in {"==", "!="} or not isinstance(value, str)):
        raise BadFeature(f"a text is only equal or not, {comparison} compares numbers", "where")
