"""The fold: a customer's state is a function of that customer's events, and of nothing else.

It never reads a clock, and every write is commutative (counts, sums, minima, maxima, the newest N by time and id), so a
late or out-of-order event counts as if it had come in time. Beyond the bounds below it can't be: what a full state has
let go of comes back empty.
"""

import hashlib
from bisect import insort

from msgspec import Struct, msgpack

from features.definitions import WEIGHTS
from features.events import EVENTS, Event, Line

RECENT = 100
BOUGHT = 2_000
CATEGORIES, CATEGORY_LENGTH = 64, 255
SEEN = 1_024
SEEN_MS = 24 * 3_600_000
MOST_MONEY = 2**62  # sums stop here, so that absurd prices never make a state that can't be stored

Touch = tuple[int, str, str]  # (event_time, item_id, event name)


class Profile(Struct, array_like=True):
    """State of one raw id. Times are int ms UTC, money integer minor units.

    `seen` holds (received_at, 64-bit hash of messageId) of the last 24 hours, in order, so that an event counts once.
    """

    counts: dict[str, int] = {}
    recent: list[Touch] = []
    bought: dict[str, tuple[int, int]] = {}
    affinity: dict[str, int] = {}
    spend: dict[str, int] = {}
    orders: int = 0
    first_seen: int = 0
    last_seen: int = 0
    newest_received: int = 0
    seen: list[tuple[int, int]] = []

    def has_seen(self, message_id: str) -> bool:
        """Whether the event with this messageId is reflected in the state."""
        identity = message_hash(message_id)
        return any(known == identity for _, known in self.seen)


_encoder = msgpack.Encoder()
_decoder = msgpack.Decoder(Profile)


def pack(profile: Profile) -> bytes:
    """The state as one binary value; equal states give equal bytes."""
    for name in ("counts", "bought", "affinity", "spend"):
        setattr(profile, name, dict(sorted(getattr(profile, name).items())))
    return _encoder.encode(profile)


def unpack(packed: bytes | None) -> Profile:
    """The state from its binary value; a customer never seen has an empty one."""
    return Profile() if packed is None else _decoder.decode(packed)


def message_hash(message_id: str) -> int:
    """64 bits that stand for a messageId."""
    return int.from_bytes(hashlib.blake2b(message_id.encode(), digest_size=8).digest(), "big")


def fold(profile: Profile, event: Event) -> bool:
    """Take one event into the state, in place; an unknown name moves nothing, and is remembered as seen.

    Returns: False where the event was counted before (same customer and messageId within 24 hours of its arrival).
    """
    identity = message_hash(event.message_id)
    if any(known == identity and abs(event.received_at - at) <= SEEN_MS for at, known in profile.seen):
        return False
    _remember(profile, event.received_at, identity)
    if event.type == "track" and event.name not in EVENTS:
        return True
    profile.first_seen = min(profile.first_seen, event.event_time) if profile.counts else event.event_time
    profile.last_seen = max(profile.last_seen, event.event_time)
    profile.counts[event.name] = profile.counts.get(event.name, 0) + 1
    _count_money(profile, event)
    weight = WEIGHTS.get(event.name)
    if weight is not None:
        _count_items(profile, event, weight)
    return True


def _remember(profile: Profile, received_at: int, identity: int) -> None:
    profile.newest_received = max(profile.newest_received, received_at)
    insort(profile.seen, (received_at, identity))
    oldest = profile.newest_received - SEEN_MS
    if profile.seen[0][0] < oldest or len(profile.seen) > SEEN:
        profile.seen = [entry for entry in profile.seen if entry[0] >= oldest][-SEEN:]


def _count_money(profile: Profile, event: Event) -> None:
    sign = {"Order Completed": 1, "Order Refunded": -1}.get(event.name, 0)
    if not sign:
        return
    profile.orders += sign > 0
    total = profile.spend.get(event.currency, 0) + sign * sum(line.cents for line in event.lines)
    profile.spend[event.currency] = max(-MOST_MONEY, min(MOST_MONEY, total))


def _count_items(profile: Profile, event: Event, weight: int) -> None:
    touched: list[Touch] = []
    for line in event.lines:
        touched.append((event.event_time, line.item_id, event.name))
        if line.category:
            category = line.category[:CATEGORY_LENGTH]
            profile.affinity[category] = profile.affinity.get(category, 0) + weight
        if event.name in {"Order Completed", "Order Refunded"}:
            _count_bought(profile, line, event.event_time, 1 if weight > 0 else -1)
    profile.recent += [touch for touch in dict.fromkeys(touched) if touch not in profile.recent]
    profile.recent.sort(reverse=True)
    del profile.recent[RECENT:]
    profile.affinity = _largest(profile.affinity)
    if len(profile.bought) > BOUGHT:
        newest = sorted(profile.bought.items(), key=lambda entry: (-entry[1][1], entry[0]))
        profile.bought = dict(newest[:BOUGHT])


def _count_bought(profile: Profile, line: Line, at: int, sign: int) -> None:
    pieces, latest = profile.bought.get(line.item_id, (0, 0))
    profile.bought[line.item_id] = (pieces + sign * line.pieces, max(latest, at))


def _largest(affinity: dict[str, int]) -> dict[str, int]:
    if len(affinity) <= CATEGORIES:
        return affinity
    return dict(sorted(affinity.items(), key=lambda entry: (-entry[1], entry[0]))[:CATEGORIES])
