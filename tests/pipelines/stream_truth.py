"""What must have come of the records in Kafka: computed by one clean pass, compared byte by byte."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from features.columns import concat
from features.components import Component
from features.decoded import from_events
from features.definitions import FEATURES
from features.errors import MalformedEvent
from features.events import Event, decode, partition_key
from features.folds import fold, state_of
from features.kafka.consumer import Record
from features.kafka.topics import partition_of
from features.offline import EventLog, LoggedEvent, read_columns, read_events
from features.online import Client, Merger
from features.online.identity import Beside, component, missing
from features.online.identity import unpack as unpack_beside
from features.online.state import bucket_of_customer, prefix_of
from features.packing import pack, unpack
from features.profiles import Profile
from features.settings import Settings
from features.states import no_states
from features.tiles import Part, kept_tiles, tile_additions
from pipelines.backfill import restore_all
from pipelines.folding import coviewed
from tests.pipelines.traffic import ARRIVED

GENERATION = FEATURES.generation
AT_ONCE = 137  # another size than any batch of the processor

Sources = Mapping[str, tuple[str, list[Record]]]  # by topic: the name of its source, and what Kafka holds


def assert_exact(settings: Settings, client: Client, clean: Client, sources: Sources) -> None:
    """States, log, tiles, items and identities are what one clean pass over the same records gives."""
    placed = {topic: rightly_placed(records, partitions_of(name)) for topic, (name, records) in sources.items()}
    assert_same(states(client), expected([each for topic in placed.values() for each in topic]), "states")
    counted: dict[tuple[str, str], int] = {}
    for topic, (name, _) in sources.items():
        rows = logged(settings, name)
        assert [(r.partition, r.offset) for r in rows] == [(r.partition, r.offset) for r, _ in placed[topic]]
        assert [row.value for row in rows] == [record.value for record, _ in placed[topic]]
        for row in rows:
            key = (row.event.customer, row.event.message_id)
            counted[key] = counted.get(key, 0) + (not row.duplicate)
    assert_same(counted, dict.fromkeys(counted, 1), "messages, by how often they count,")
    assert_same(tiles(client, settings.buckets), expected_tiles(settings), "tiles")
    restore_all(clean, settings.data, settings.buckets)
    assert_same(components(client), components(clean), "identities")
    Merger(client, settings.buckets, FEATURES).merge()
    assert_same(keyed(client, f"i:{GENERATION}:*"), keyed(clean, f"i:{GENERATION}:*"), "items")


def assert_same(found: Mapping[Any, object], right: Mapping[Any, object], what: str) -> None:
    """Equal, or an error that names what isn't."""
    wrong = sorted(key for key in {*found, *right} if found.get(key) != right.get(key))
    assert not wrong, f"{len(wrong)} of {len(right)} {what} are wrong: {wrong[:5]}"


def expected(records: Iterable[tuple[Record, Event]], before: Iterable[Event] = ()) -> dict[str, bytes]:
    """Every customer's packed state, by one pass that shares nothing with the processor.

    Args:    before: events that came another way.
    """
    every = [(event, event.received_at) for event in before]
    every += [(event, record.timestamp_ms) for record, event in records]
    packed: dict[str, bytes] = {}
    for at in range(0, len(every), AT_ONCE):
        chunk = every[at : at + AT_ONCE]
        events = from_events([event for event, _ in chunk], [available for _, available in chunk])
        customers = events.customer.values
        folded = fold(
            FEATURES, unpack([packed.get(each) for each in customers]), events, events.customer.codes.astype("int64")
        )
        packed.update(zip(customers, pack(folded.states), strict=True))
    return packed


def states(client: Client) -> dict[str, bytes]:
    """Every customer's packed state as Redis has it."""
    found = {**keyed(client, f"*:{GENERATION}:u:*"), **keyed(client, f"*:{GENERATION}:a:*")}
    return {key.partition(f"}}:{GENERATION}:")[2]: value for key, value in found.items()}


def views(client: Client, customer: str) -> int:
    """How many views the state of a raw id counts, and that it counts nothing else."""
    found = Profile([states(client).get(customer)]).features(ARRIVED, ["event_counts"])["event_counts"]
    assert {*found} <= {"Product Viewed"}
    return int(found.get("Product Viewed", 0))


def components(client: Client) -> dict[str, Component]:
    """Who belongs together, of every id with an edge; which of many edges are kept for it depends on their order.

    All of them must be read in two round trips, whatever happened while they were written.
    """
    kept = {key.partition("}:e:")[2]: unpack_beside(value) for key, value in keyed(client, "*:e:*").items()}
    found = {}
    for raw_id, own in kept.items():
        read = {raw_id: own}
        read.update((other, kept.get(other, Beside())) for other in missing(raw_id, read))
        assert not missing(raw_id, read)
        found[raw_id] = component(raw_id, read)
        assert {*found[raw_id].members} <= {*own.near, *component(raw_id, {raw_id: own}).members, *read}
    return found


def keyed(client: Client, pattern: str) -> dict[str, bytes]:
    """The plain values of all keys of a pattern."""
    keys = [cast("bytes", key).decode() for key in client.scan_iter(match=pattern, count=5_000)]
    return {key: cast("bytes", client.get(key)) for key in keys}


def tiles(client: Client, buckets: int) -> dict[str, dict[bytes, int]]:
    """What the buckets add to items and to all, by key."""
    found: dict[str, dict[bytes, int]] = {}
    for bucket in range(buckets):
        pattern = prefix_of(bucket, GENERATION).replace("{", "\\{").replace("}", "\\}") + "t:*"
        for key in client.scan_iter(match=pattern, count=5_000):
            fields = cast("dict[bytes, bytes]", client.hgetall(cast("bytes", key).decode()))
            found[cast("bytes", key).decode()] = {name: int(value) for name, value in fields.items()}
    return found


def expected_tiles(settings: Settings) -> dict[str, dict[bytes, int]]:
    """The same, from all events of the log that count at once."""
    events = concat(
        [
            events.take(~duplicate)
            for source in EventLog(settings.data).sources()
            for _, _, duplicate, events in read_columns(source)
        ]
    )
    owner = [bucket_of_customer(customer, settings.buckets) for customer in events.customer.values]
    bucket = [owner[code] for code in events.customer.codes.tolist()]
    newest: dict[int, int] = {}
    for each, time in zip(bucket, (events.time // 300_000).tolist(), strict=True):
        newest[each] = max(newest.get(each, 0), time)
    found: dict[str, dict[bytes, int]] = {}
    keep = kept_tiles(FEATURES)
    whole = state_of(FEATURES, no_states(len(owner)), events, events.customer.codes.astype(np.int64))
    parts = [Part(events, np.array(bucket, np.int64))]
    parts += coviewed(FEATURES, no_states(len(owner)), whole, np.array(owner, np.int64))
    for each, steps in tile_additions(FEATURES, *parts).items():
        for step, starts in steps.items():
            for start, fields in starts.items():
                if start // step >= newest[each] // step - keep[step]:
                    named = {name.encode(): value for name, value in fields.items() if value}
                    found[f"{prefix_of(each, GENERATION)}t:{step}:{start}"] = named
    return found


def logged(settings: Settings, name: str) -> list[LoggedEvent]:
    """The event log of a source, as a reader gets it."""
    return [row for rows in read_events(EventLog(settings.data).source(name)) for row in rows]


def partitions_of(name: str) -> int:
    """How many partitions a source has."""
    return int(name.rpartition(".p")[2])


def rightly_placed(records: list[Record], partitions: int) -> list[tuple[Record, Event]]:
    """The records that hold an event of a customer whose partition this is, each with its event."""
    found = []
    for record in records:
        try:
            event = decode(record.value or b"", record.timestamp_ms)
        except MalformedEvent:
            continue
        if partition_of(partition_key(event), partitions) == record.partition:
            found.append((record, event))
    return found
