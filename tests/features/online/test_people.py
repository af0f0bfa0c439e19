"""One log, two worlds: whoever identifies as whom, joins or is taken apart, online says what a frame of then says."""

import asyncio
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.decoded import from_events
from features.definitions import FEATURES
from features.events import decode, iso
from features.feature import Feature
from features.identity import edges_of
from features.offline import EventLog, LoggedEvent, append_events, training_frame
from features.online import IdentityStore, ProfileReader, connect, connect_async
from features.table import Table, table
from tests.features.histories import DAY, HOUR, MINUTE
from tests.features.offline.frame_logs import plain
from tests.features.online.test_reader import BUCKETS, folder_at, take
from tests.features.test_parity import _same

T = 1_767_225_600_000
IDS = [f"{kind}:{name}" for kind in "au" for name in "xyz"]
NAMES = (
    "views_1h", "views_30d", "orders_this_month", "event_counts", "since_order", "first_seen", "spend", "device",
    "mean_line_365d", "largest_line_365d", "cart_rate_30d", "session_events", "sessions_30d", "category_affinity",
    "items_viewed_30d", "median_price_viewed_90d", "usual_hour_90d", "weekend_share_90d", "recent_items",
)  # fmt: skip


def closure(names: Sequence[str]) -> Iterator[Feature]:
    """The features with their parts before them."""
    for name in names:
        yield from closure(FEATURES.features[name].parts)
        yield FEATURES.features[name]


SOME: Table = table({feature.name: feature for feature in closure(NAMES)}.values())


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """What a site, its server or its support desk sends of a few people."""
    user, anonymous = draw(st.sampled_from("xyz")), draw(st.sampled_from("xyz"))
    kind = draw(st.sampled_from(["view", "view", "add", "order", "identify", "identify", "alias", "page"]))
    trust = draw(st.sampled_from([{"keyId": "k"}, {"keyId": "k", "trusted": True}]))
    if kind == "identify":
        return trust | {"type": "identify", "userId": user, "anonymousId": anonymous}
    if kind == "alias":
        remove = draw(st.booleans())
        return trust | {"type": "alias", "userId": user, "previousId": anonymous, "properties": {"remove": remove}}
    who = draw(st.sampled_from([{"userId": user}, {"anonymousId": anonymous}]))
    line = {"product_id": draw(st.sampled_from("ij")), "price": 2.5, "category": draw(st.sampled_from(["a", "b"]))}
    properties = {"order_id": "o", "currency": "GBP", "products": [line]} if kind == "order" else line
    named = {"view": "Product Viewed", "add": "Product Added", "order": "Order Completed"}
    body = {"type": "page"} if kind == "page" else {"type": "track", "event": named[kind], "properties": properties}
    return trust | who | body | {"context": {"device": {"type": draw(st.sampled_from(["mobile", "tablet"]))}}}


@st.composite
def logs(draw: st.DrawFn) -> list[LoggedEvent]:
    """They arrive one after the other, some long after they happened."""
    arrived, rows = T, []
    for offset, message in enumerate(draw(st.lists(messages(), min_size=2, max_size=14))):
        arrived += draw(st.sampled_from([1, MINUTE, 20 * MINUTE, HOUR, DAY, 20 * DAY]))
        happened = arrived - draw(st.sampled_from([0, 0, 1, HOUR, 2 * DAY]))
        raw = json.dumps({"messageId": f"m{offset}", "timestamp": iso(happened)} | message).encode()
        rows.append(LoggedEvent(0, offset, arrived, decode(raw, arrived), False, raw))
    return rows


def live(url: str, ids: Sequence[str], now: int) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        async with ProfileReader(connect_async(url, timeout_s=5.0), BUCKETS) as reader:
            reader.table = SOME
            return [profile.features(now, SOME.features) for profile in await reader.profiles(ids)]

    return asyncio.run(read())


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=logs(), later=st.sampled_from([0, HOUR, 40 * DAY]))
def test_a_person_is_online_what_a_frame_says_of_then(redis_server: str, rows: list[LoggedEvent], later: int) -> None:
    client = connect(redis_server)
    client.flushall()
    folder, identity = folder_at(client, SOME), IdentityStore(client, BUCKETS)
    events = from_events([row.event for row in rows], [row.available_at for row in rows])
    with tempfile.TemporaryDirectory() as data:
        log = EventLog(Path(data))
        append_events(log.source("events.a.p1"), 0, 0, len(rows), rows)
        moments = [row.available_at for row in rows[:-1]] + [rows[-1].available_at + later]
        labels = pd.DataFrame([(raw_id, at) for at in moments for raw_id in IDS], columns=["user_id", "as_of"])
        frame = training_frame(log, labels, SOME.features, SOME)
    told = [plain(SOME, row) for row in frame.to_dict("records")]
    for number, (row, now) in enumerate(zip(rows, moments, strict=True)):
        take(folder, events, number, number + 1)
        identity.add(edges_of(row.event, row.value, row.available_at))
        for at, found in enumerate(live(redis_server, IDS, now), number * len(IDS)):
            for name, value in found.items():
                assert _same(value, told[at][name]), (
                    f"{name} of {IDS[at % len(IDS)]} at {now}: {value}, {told[at][name]}"
                )
