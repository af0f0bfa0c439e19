"""What features mean, said a second time: plain Python over a list of events, slow and without any of the core's code.

Only the reading of a window's text is shared, and the hash of a text where a tie goes by it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from features.columns import EVENT_NUMBERS, EVENT_TEXTS, LINE_NUMBERS, LINE_TEXTS, NAMES
from features.contributions import sub_of
from features.events import message_hash
from features.feature import Feature
from features.weights import WEIGHTS
from features.windows import window
from tests.features.histories import DAY, HOUR, MINUTE, Happening, Line

REMEMBERED, REMEMBERED_MS = 1_024, DAY
LARGEST = 2**44
TOUCHES = 100
GAP = 30 * MINUTE


class Row(NamedTuple):
    """An event, or one of its lines."""

    event: Happening
    line: Line | None

    def number(self, name: str) -> int | None:
        """None where it is absent."""
        if name in EVENT_NUMBERS:
            return self.event.numbers.get(name)
        return self.line.numbers.get(name) if self.line else None

    def text(self, name: str) -> str:
        """Empty where it is absent."""
        if name in EVENT_TEXTS:
            return self.event.texts.get(name, "")
        return self.line.texts.get(name, "") if self.line else ""


def counted(log: Sequence[Happening]) -> list[Happening]:
    """The events of one raw id that count, in the order of the log."""
    memory: list[tuple[int, int]] = []
    found = []
    for event in log:
        mark = message_hash(event.message)
        if any(mark == other and abs(event.received - at) <= REMEMBERED_MS for at, other in memory):
            continue
        found.append(event)
        memory.append((event.received, mark))
        newest = max(event.received for event in found)
        memory = sorted(each for each in memory if each[0] >= newest - REMEMBERED_MS)[-REMEMBERED:]
    return found


def known(log: Sequence[Happening], ids: Iterable[str]) -> list[Happening]:
    """All that counts of the raw ids that belong together."""
    found = [event for each in ids for event in counted([event for event in log if event.customer == each])]
    return [event for event in found if event.name in NAMES]


def value(features: Mapping[str, Feature], name: str, events: Sequence[Happening], now: int) -> Any:
    """A feature of a customer at a moment, of the events known then."""
    feature = features[name]
    if feature.kind == "ratio":
        part, whole = (value(features, each, events, now) for each in feature.parts)
        return feature.default if part is None or not whole else part * feature.argument / whole
    found = _KINDS[feature.kind](feature, _rows(feature, events, now), now)
    return feature.default if found is None or found in ("", {}, []) else found


def viewed_together(events: Sequence[Happening], item: str, now: int, days: int) -> dict[str, int]:
    """How often each other item was viewed right before or after one, of the events of all customers that count."""
    sums: dict[str, int] = {}
    for customer in {event.customer for event in events}:
        for one, other, time in viewed_in_turn([event for event in events if event.customer == customer]):
            if item in {one, other} and _inside(f"{days}d", time, now):
                beside = other if one == item else one
                sums[beside] = sums.get(beside, 0) + 1
    return dict(sorted(sums.items()))


def viewed_in_turn(events: Sequence[Happening]) -> list[tuple[str, str, int]]:
    """Two items that one customer viewed one after the other, the later one first, and when that was."""
    views = [(time, item) for time, name, item in _touches(events) if name == "Product Viewed"]
    return [
        (one, other, later)
        for (later, one), (earlier, other) in pairwise(views)
        if one != other and later - earlier < GAP
    ]


def _rows(feature: Feature, events: Sequence[Happening], now: int) -> list[Row]:
    if feature.kind in {"session", "recent"}:
        return [Row(event, None) for event in events]
    named = [event for event in events if event.name in feature.events or not feature.events]
    asked = {feature.of, feature.by, feature.where[0] if feature.where else ""}
    rows = [Row(event, None) for event in named]
    if asked & {*LINE_NUMBERS, *LINE_TEXTS}:
        rows = [Row(event, line) for event in named for line in event.lines]
    hop = HOUR if feature.by in {"hour", "weekday"} else None
    return [row for row in rows if _inside(feature.window, row.event.time, now, hop) and _fits(feature, row)]


def _inside(text: str, time: int, now: int, hop: int | None = None) -> bool:
    if text in {"month", "last month"}:
        back = (_month(now) - _month(time)) if time <= now else 0
        return back == (text == "last month")
    if not text:
        return True
    span = window(text)
    tile = 5 * MINUTE
    hop = hop or span.hop * tile
    start = (now - (span.length + span.ago) * tile) // hop * hop
    return start <= time and (not span.ago or time < (now - span.ago * tile) // hop * hop)


def _month(time: int) -> int:
    moment = datetime.fromtimestamp(time / 1000, UTC)
    return moment.year * 12 + moment.month


def _fits(feature: Feature, row: Row) -> bool:
    if feature.of in {*EVENT_NUMBERS, *LINE_NUMBERS} and row.number(feature.of) is None:
        return False
    apart = feature.by == "currency" and feature.kind not in {"last", "distinct"}  # money without a currency counts
    if feature.by in {*EVENT_TEXTS, *LINE_TEXTS} and not row.text(feature.by) and not apart:
        return False
    if feature.where is None:
        return True
    column, comparison, wanted = feature.where
    has: Any = row.text(column) if isinstance(wanted, str) else row.number(column)
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }
    return has is not None and compare[comparison](has, wanted)


def _amount(feature: Feature, row: Row) -> int:
    if feature.of == "one":
        return 1
    if feature.of == "weight":
        return WEIGHTS.get(row.event.name, 0)
    return max(-LARGEST, min(row.number(feature.of) or 0, LARGEST))


def _key(feature: Feature, row: Row) -> Any:
    moment = datetime.fromtimestamp(row.event.time / 1000, UTC)
    if feature.by == "hour":
        return moment.hour
    if feature.by == "weekday":
        return moment.weekday()
    return row.event.name if feature.by == "event" else row.text(feature.by)


def _sums(feature: Feature, rows: list[Row], now: int) -> dict[Any, Any]:
    sums: dict[Any, Any] = {}
    for row in rows:
        amount: float = _amount(feature, row)
        if feature.kind == "decayed":
            amount *= 0.5 ** ((now // DAY - row.event.time // DAY) / feature.argument)
        sums[_key(feature, row)] = sums.get(_key(feature, row), 0) + amount
    return sums


def _sum(feature: Feature, rows: list[Row], now: int) -> Any:
    return _sums(feature, rows, now) if feature.by else sum(_amount(feature, row) for row in rows)


def _mean(feature: Feature, rows: list[Row], _: int) -> float | None:
    return sum(_amount(feature, row) for row in rows) / len(rows) if rows else None


def _quantile(feature: Feature, rows: list[Row], _: int) -> float | None:
    numbers = sorted(max(row.number(feature.of) or 0, 0) for row in rows)
    if not numbers:
        return None
    found = next(number for rank, number in enumerate(numbers, 1) if rank >= feature.argument * len(numbers))
    if found == 0:
        return 0.0
    power: int = 2 ** (found.bit_length() - 1)
    return power + ((found - power) * 16 // power + 0.5) * power / 16


def _top(feature: Feature, rows: list[Row], now: int) -> Any:
    sums = _sums(feature, rows, now)
    return min(sums, key=lambda key: (-sums[key], key), default=None)


def _share(feature: Feature, rows: list[Row], now: int) -> float | None:
    sums = _sums(feature, rows, now)
    whole = sum(sums.values())
    return sum(sums.get(key, 0) for key in feature.keys) / whole if whole > 0 else None


def _last(feature: Feature, rows: list[Row], _: int) -> str | None:
    newest = max(rows, key=lambda row: (row.event.time, sub_of(row.text(feature.by))), default=None)
    return newest.text(feature.by) if newest else None


def _recent(feature: Feature, rows: list[Row], _: int) -> list[tuple[int, str, str]]:
    touches = _touches([row.event for row in rows])
    return [(time, item, name) for time, name, item in touches if name in feature.events][: int(feature.argument)]


def _touches(events: Sequence[Happening]) -> list[tuple[int, str, str]]:
    """Time, event and item of the newest."""
    ties = list(WEIGHTS)
    touches = {(e.time, e.name, each.texts["item"]) for e in events if e.name in WEIGHTS for each in e.lines}
    return sorted(touches, key=lambda touch: (-touch[0], ties.index(touch[1]), sub_of(touch[2])))[:TOUCHES]


def _session(feature: Feature, rows: list[Row], now: int) -> float:
    span = window(feature.window).length * 5 * MINUTE or DAY
    start = (now - span) // GAP * GAP
    events = sorted((row.event for row in rows if row.event.time >= start), key=lambda event: event.time)
    sessions: list[list[Happening]] = []
    for event in events:
        if sessions and event.time - sessions[-1][-1].time < GAP:
            sessions[-1].append(event)
        else:
            sessions.append([event])
    if feature.of == "sessions":
        return len(sessions)
    if feature.of == "mean duration":
        return sum(each[-1].time - each[0].time for each in sessions) / max(len(sessions), 1)
    running = sessions[-1] if sessions and now - sessions[-1][-1].time < GAP else []
    if feature.of == "duration":
        return running[-1].time - running[0].time if running else 0
    return sum(not feature.events or event.name in feature.events for event in running)


_KINDS: dict[str, Callable[[Feature, list[Row], int], Any]] = {
    "sum": _sum,
    "mean": _mean,
    "quantile": _quantile,
    "top": _top,
    "share": _share,
    "decayed": _sums,
    "last": _last,
    "recent": _recent,
    "session": _session,
    "min": lambda feature, rows, _: min((_amount(feature, row) for row in rows), default=None),
    "max": lambda feature, rows, _: max((_amount(feature, row) for row in rows), default=None),
    "since": lambda _, rows, now: now - max(row.event.time for row in rows) if rows else None,
    "latest": lambda _, rows, __: max((row.event.time for row in rows), default=None),
    "first": lambda _, rows, __: min((row.event.time for row in rows), default=None),
    "distinct": lambda feature, rows, _: len({row.text(feature.by) for row in rows}),
}
