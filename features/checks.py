"""What a definition of a feature may say; what else it says is refused with where and why."""

from collections.abc import Mapping

from features.columns import EVENT_NUMBERS, EVENT_TEXTS, LINE_NUMBERS, LINE_TEXTS, NAMES
from features.errors import BadFeature
from features.events import EVENTS
from features.feature import Feature
from features.forms import DTYPES, check_dtype, check_form
from features.forms import NUMBERS as NUMERIC
from features.properties import AnyProperties, OrderProperties
from features.weights import WEIGHTS
from features.windows import window

ENTITIES = ("customer", "item", "global", "session", "customer x category")
SHARED = frozenset({"item", "global"})  # added up over all customers, so they can only be sums
CALENDAR = ("hour", "weekday")
OTHERS = ("with", "beside")  # keys of an item that are other items: in one order, viewed one after the other
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
NUMBERS = ("one", "weight", *EVENT_NUMBERS, *LINE_NUMBERS)
TEXTS = (*EVENT_TEXTS, *LINE_TEXTS)
LINES = frozenset((*LINE_NUMBERS, *LINE_TEXTS))
KEYS = (*TEXTS, *CALENDAR, *OTHERS, "event")
SESSION_READS = ("events", "duration", "sessions", "mean duration")
TIMELESS = frozenset({"since", "latest", "first", "last", "recent", "ratio"})
KEYED = frozenset({"distinct", "top", "share", "decayed", "last"})
ARGUED = frozenset({"quantile", "decayed", "recent", "ratio"})  # kinds that have an argument
MOST_TOUCHES = 100


def entity_of(feature: Feature) -> str:
    """Whose state a feature is read from: customer, item or global."""
    return feature.entity if feature.entity in SHARED else "customer"


def check(feature: Feature, earlier: Mapping[str, Feature]) -> None:
    """See that a feature can be used.

    Raises:  BadFeature: with the part that is wrong, and what would do.
    """
    check_form(feature)
    name = feature.name
    if name in earlier:
        raise BadFeature("the name is given twice", "name")
    if not (name.isidentifier() and name.isascii() and name == name.lower()):
        raise BadFeature("the name must be lower-case letters, digits and underscores", "name")
    if feature.kind not in DTYPES:
        raise BadFeature(f"there is no kind {feature.kind!r}; known: {', '.join(sorted(DTYPES))}", "kind")
    _check_entity(feature)
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
    _check_had(feature)
    _check_parts(feature, earlier)
    check_dtype(feature)


def _check_entity(feature: Feature) -> None:
    entity, kind = feature.entity, feature.kind
    if entity not in ENTITIES:
        raise BadFeature(f"there is no entity {entity!r}; known: {', '.join(ENTITIES)}", "entity")
    if entity in SHARED and kind not in {"sum", "mean", "ratio"}:
        raise BadFeature(f"of a {entity} only sums, means and ratios can be kept, not {kind}", "kind")
    if entity == "session" and kind not in {"session", "ratio"}:
        raise BadFeature(f"of a session only what session() reads, and ratios, can be kept, not {kind}", "kind")
    if entity == "customer x category" and feature.by != "category":
        raise BadFeature(f"a feature of {entity} is by category, not by {feature.by!r}", "by")


def _check_parts(feature: Feature, earlier: Mapping[str, Feature]) -> None:
    if len(feature.parts) != (2 if feature.kind == "ratio" else 0):
        raise BadFeature("a ratio has two parts, and nothing else has any", "parts")
    for part in feature.parts:
        other = earlier.get(part)
        if other is None or other.dtype not in NUMERIC or entity_of(other) != entity_of(feature):
            raise BadFeature(f"its part {part!r} must be a number of the same entity, declared before it", "parts")


def _check_had(feature: Feature) -> None:
    """What no event named has would be counted for nobody, ever."""
    columns = [("of", feature.of), ("by", feature.by), ("where", feature.where[0] if feature.where else "")]
    if feature.entity == "item":
        columns.append(("events", "item"))
    for part, column in columns:
        if feature.events and not any(_has(name, column) for name in feature.events):
            raise BadFeature(f"{' or '.join(feature.events)} has no {column}", part)


def _has(event: str, column: str) -> bool:
    """Whether an event may have a column: what is no column at all, and what comes of the context, any event has."""
    kind = EVENTS.get(event, AnyProperties)
    if column in EVENT_NUMBERS or column == "coupon":
        return kind is OrderProperties
    return kind is not AnyProperties if column in LINES or column == "currency" else True


def _check_window(feature: Feature) -> None:
    span = window(feature.window)
    if feature.window and feature.kind in TIMELESS:
        raise BadFeature(f"{feature.kind} has no window, got {feature.window!r}", "window")
    if not feature.window and feature.kind == "decayed":
        raise BadFeature("what fades needs a window after which it is forgotten", "window")
    if not feature.window and feature.by in CALENDAR:
        raise BadFeature(f"by {feature.by} needs a window", "window")
    if not feature.window and feature.entity in SHARED and feature.kind != "ratio":
        raise BadFeature(f"a feature of entity {feature.entity} needs a window, of at most 366d", "window")
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
    if feature.by in OTHERS:
        _check_others(feature)
    if feature.entity in SHARED and feature.by in CALENDAR:
        raise BadFeature(f"a {feature.entity} isn't counted by {feature.by}", "by")
    if feature.kind in {"last", "distinct"} and feature.by not in TEXTS:
        raise BadFeature(f"{feature.kind} is of a text of an event, not of {feature.by!r}", "by")
    if feature.kind in {"share"} and feature.by not in CALENDAR:
        raise BadFeature(f"a share is of hours or weekdays, not of {feature.by!r}", "by")


def _check_others(feature: Feature) -> None:
    """Items in one order, or viewed one after the other, are counted and nothing else."""
    if feature.entity != "item":
        raise BadFeature(f"only an item has others {feature.by} it", "by")
    if feature.kind != "sum" or feature.of != "one":
        raise BadFeature(f"others {feature.by} an item are counted, {feature.of!r} can't be added up", "of")
    if feature.where is not None:
        raise BadFeature(f"others {feature.by} an item are counted without a condition", "where")
    if feature.by == "beside" and feature.events != ("Product Viewed",):
        raise BadFeature(
            "beside an item are others that were viewed right before or after: of Product Viewed", "events"
        )


def _check_argument(feature: Feature) -> None:
    kind, argument = feature.kind, feature.argument
    if kind not in ARGUED and argument:
        raise BadFeature(f"{kind} has no argument, got {argument}", "argument")
    if kind == "quantile" and not 0 < argument < 1:
        raise BadFeature(f"a quantile lies between 0 and 1, got {argument}", "q")
    if kind == "decayed" and argument <= 0:
        raise BadFeature("a half-life must be longer than 0 days", "half_life_days")
    if kind == "recent" and not (argument == int(argument) and 1 <= argument <= MOST_TOUCHES):
        raise BadFeature(f"a whole number from 1 to {MOST_TOUCHES} is needed, got {argument}", "n")
    if kind == "recent" and not (feature.events and {*feature.events} <= {*WEIGHTS}):
        raise BadFeature(f"only these tie customers to items: {', '.join(WEIGHTS)}", "events")
    hours = range(24 if feature.by == "hour" else 7)
    if (kind == "share") != bool(feature.keys) or any(key not in hours for key in feature.keys):
        wanted = f"keys from 0 to {hours[-1]}" if kind == "share" else "no keys"
        raise BadFeature(f"{kind} needs {wanted}, got {feature.keys}", "keys")


def _check_where(column: str, comparison: str, value: int | str) -> None:
    if comparison not in COMPARISONS:
        raise BadFeature(f"{comparison!r} compares nothing; known: {' '.join(COMPARISONS)}", "where")
    number = column in EVENT_NUMBERS or column in LINE_NUMBERS
    if not number and column not in TEXTS:
        raise BadFeature(f"{column!r} is no column of an event", "where")
    if number != (type(value) is int):
        kind = "a whole number" if number else "a text"
        raise BadFeature(f"{column} is compared with {kind}, got {value!r}", "where")
    if isinstance(value, int) and not -(2**63) < value < 2**63:
        raise BadFeature(f"no column holds a number as large as {value}", "where")
    if not number and (comparison not in {"==", "!="} or not isinstance(value, str)):
        raise BadFeature(f"a text is only equal or not, {comparison} compares numbers", "where")
