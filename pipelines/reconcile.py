"""Reconciliation: recompute the live state from the event log, compare, count, show and repair every difference.

The state of a bucket is read together with its positions in one transaction, so it is compared with exactly those
events that it should reflect, while the stream processor goes on. A repair is a commit like any other: refused when
somebody has written to the bucket since, then computed and tried again. What buckets add to items and to all customers
is compared too, and the read copies of items are summed anew.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from features.cells import newest_of
from features.errors import Overloaded
from features.events import iso
from features.folds import fold
from features.offline import EventLog, Segments, read_columns
from features.online import Bucket, BucketCommit, Client, Merger, StateStore, customers_of, snapshot, tiles_of
from features.packing import pack, unpack
from features.reading import evaluate, value_of
from features.states import no_states
from features.table import Table
from features.tiles import Part, kept_tiles
from pipelines.backfill import partitions_of_source, restore_identity
from pipelines.folding import TRIES, Buckets, coviewed
from pipelines.reconcile_tiles import RightTiles, Sums, items_of, repair_tiles, right_tiles, take

SOURCE = "reconcile.p1"
EXAMPLES = 20
ROWS_AT_ONCE = 3_000_000  # events whose customers are held in memory

Progress = Callable[[int, int], None]
Packed = dict[str, bytes]


@dataclass
class Report:
    """What was found: customers by what was wrong with them, how often each feature differed, and `items` of which
    some sum was wrong, with all customers together as one more of them."""

    generation: str
    customers: int = 0
    missing: int = 0
    unexpected: int = 0
    different: int = 0
    repaired: int = 0
    expired: int = 0
    items: int = 0
    features: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        """Customers whose live state isn't what the log says."""
        return self.missing + self.unexpected + self.different


def reconcile(
    client: Client,
    log: EventLog,
    buckets: int,
    table: Table,
    now: int,
    repair: bool = True,
    progress: Progress = lambda _done, _all: None,
    expire_before: int = 0,
) -> Report:
    """Compare every customer's live state, and every item's, with what the log says; by default write what is right.

    Args:    now: ms UTC, the moment that features are compared at; expire_before: ms UTC, states without an event since
             aren't kept. Whoever comes back later begins anew, until the next reconciliation adds what the log knows.
    Raises:  Overloaded: a bucket changes too fast to be repaired.
    """
    report = Report(table.generation)
    if repair:
        restore_identity(client, log, buckets)
    numbers = Buckets(buckets)
    rows = sum(end for source in log.sources() for end in source.ends().values())
    step = max(1, min(buckets, buckets * ROWS_AT_ONCE // max(rows, 1)))
    items: set[str] = set()
    for first in range(0, buckets, step):
        mine = range(first, min(first + step, buckets))
        there = customers_of(client, mine, table.generation)
        found, tiles = {}, {}
        for bucket, ids in there.items():
            found[bucket], tiles[bucket] = _together(client, bucket, table.generation, ids)
        shared = right_tiles(table, mine)
        right = recomputed(log, table, numbers, {b: bucket.positions for b, bucket in found.items()}, shared=shared)
        for bucket, live in found.items():
            if lacking := shared[bucket].lacking(tiles[bucket]):
                items |= items_of(table, lacking)
                if repair:
                    store, position = _claimed(client, table, buckets, bucket)
                    repair_tiles(store, bucket, position, lacking, shared[bucket].newest)
            known = kept(right[bucket], expire_before)
            suspects = _suspects(live.states, known)
            report.customers += len({*known, *live.states}) - len(suspects)
            if not suspects:
                continue
            # Somebody may have come between the list of keys and the states: look once more, at both together.
            now_live = snapshot(client, bucket, table.generation, suspects)
            again = recomputed(log, table, numbers, {bucket: now_live.positions}, set(suspects))[bucket]
            wrong = _compare(report, table, now_live, kept(again, expire_before), now, expire_before)
            if repair and wrong:
                _repair(client, log, table, numbers, bucket, wrong, expire_before)
        report.repaired = report.wrong if repair else 0
        progress(first + len(mine), buckets)
    report.items = len(items)
    if repair:
        Merger(client, buckets, table).merge()
    return report


def keep_report(data: Path, report: Report, now: int) -> dict[str, Any]:
    """Keep the figures where gates and dashboards find them, without anybody's id; returns them."""
    figures = {
        "at": iso(now),
        "generation": report.generation,
        "customers": report.customers,
        "wrong": report.wrong,
        "missing": report.missing,
        "unexpected": report.unexpected,
        "different": report.different,
        "repaired": report.repaired,
        "expired": report.expired,
        "items": report.items,
        "features": dict(report.features.most_common()),
    }
    draft = data / "reconcile.draft"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(figures)))
    draft.replace(data / "reconcile.json")
    return figures


def recomputed(
    log: EventLog,
    table: Table,
    numbers: Buckets,
    positions: Mapping[int, Mapping[str, int]],
    only: Collection[str] | None = None,
    shared: Mapping[int, RightTiles] | None = None,
) -> dict[int, Packed]:
    """The packed states of the customers of some buckets, from the events before the buckets' positions.

    Args:    positions: by bucket and source the next offset; only: the customers wanted, None for all; shared: takes
             what those events add to items and to all, by bucket.
    """
    states: dict[int, Packed] = {bucket: {} for bucket in positions}
    for source in log.sources():
        _fold_source(source, table, numbers, positions, only, states, shared)
    return states


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether two states say the same. The messages seen are left out: of an event that came by two sources, either
    may have counted."""
    return one == other or _told(one) == _told(other)


def kept(states: Packed, expire_before: int) -> Packed:
    """The states that have an event since, ms UTC; 0 is all of them."""
    if not expire_before or not states:
        return states
    newest = newest_of(unpack(list(states.values())).cells)
    return {name: state for (name, state), at in zip(states.items(), newest, strict=True) if at >= expire_before}


def _told(packed: bytes | None) -> bytes:
    states = unpack([packed])
    return pack(states._replace(seen=no_states(1).seen))[0]


def _fold_source(
    source: Segments,
    table: Table,
    numbers: Buckets,
    positions: Mapping[int, Mapping[str, int]],
    only: Collection[str] | None,
    states: dict[int, Packed],
    shared: Mapping[int, RightTiles] | None,
) -> None:
    partitions = partitions_of_source(source.name)
    ends = np.zeros(numbers.buckets, np.int64)
    for bucket, by_source in positions.items():
        ends[bucket] = by_source.get(source.name, 0)
    wanted = {bucket % partitions: 0 for bucket in positions if ends[bucket]}
    for _, offsets, duplicate, events in read_columns(source, wanted):
        home = numbers.of(events.customer.values)[events.customer.codes]
        keep = ~duplicate & (offsets < ends[home])
        if only is not None:
            chosen = np.array([value in only for value in events.customer.values] or [False])
            keep &= chosen[events.customer.codes]
        if not keep.any():
            continue
        taken = events.take(keep)
        codes, first, owner = np.unique(taken.customer.codes, return_index=True, return_inverse=True)
        names = [taken.customer.values[code] for code in codes.tolist()]
        homes = home[keep][first].tolist()
        old = unpack([states[bucket].get(name) for name, bucket in zip(names, homes, strict=True)])
        folded = fold(table, old, taken, owner)
        for name, bucket, packed in zip(names, homes, pack(folded.states), strict=True):
            states[bucket][name] = packed
        if shared is not None:
            counted = Part(taken.take(folded.counted), home[keep][folded.counted])
            take(shared, table, counted, *coviewed(table, old, folded.states, np.array(homes, np.int64)))


def _together(client: Client, bucket: int, generation: str, ids: list[str]) -> tuple[Bucket, Sums]:
    """A bucket's states and tiles at one moment."""
    for _ in range(TRIES):
        live = snapshot(client, bucket, generation, ids)
        version, tiles = tiles_of(client, bucket, generation)
        if version == live.version:
            return live, tiles
    raise Overloaded(f"bucket {bucket} changed {TRIES} times while it was read: try in a quieter hour")


def _claimed(client: Client, table: Table, buckets: int, bucket: int) -> tuple[StateStore, int]:
    """A store of the reconciler's own, by which it writes to a bucket, and where it stands."""
    store = StateStore(client, SOURCE, buckets, table.generation, kept_tiles(table))
    return store, store.claim([bucket])[bucket]


def _suspects(live: Packed, right: Packed) -> list[str]:
    return [name for name in sorted({*right, *live}) if not same(live.get(name), right.get(name))]


def _compare(report: Report, table: Table, live: Bucket, right: Packed, now: int, expire_before: int) -> list[str]:
    """The customers that are wrong, or not to be kept."""
    alive = kept(live.states, expire_before)
    wrong = []
    for customer in sorted({*right, *live.states}):
        have, want = live.states.get(customer), right.get(customer)
        report.customers += 1
        if same(have, want):
            continue
        wrong.append(customer)
        if customer in live.states and customer not in alive:
            report.expired += 1
            continue
        report.missing += have is None
        report.unexpected += want is None
        report.different += have is not None and want is not None
        report.features.update(_differing(table, have, want, now))
        if len(report.examples) < EXAMPLES:
            report.examples.append(customer)
    return wrong


def _differing(table: Table, have: bytes | None, want: bytes | None, now: int) -> Iterator[str]:
    names = [feature.name for feature in table.features.values() if feature.entity not in {"item", "global"}]
    found = evaluate(table, unpack([have, want]), np.array([now, now]), names)
    for name in names:
        if value_of(table.features[name], found[name], 0) != value_of(table.features[name], found[name], 1):
            yield name


def _repair(
    client: Client,
    log: EventLog,
    table: Table,
    numbers: Buckets,
    bucket: int,
    customers: list[str],
    expire_before: int,
) -> None:
    store, position = _claimed(client, table, numbers.buckets, bucket)
    for _ in range(TRIES):
        live = snapshot(client, bucket, table.generation, customers)
        right = kept(recomputed(log, table, numbers, {bucket: live.positions}, set(customers))[bucket], expire_before)
        states = {customer: right.get(customer, b"") for customer in customers}
        commit = BucketCommit(bucket, live.version, position, position + 1, states)
        if not store.commit([commit]):
            return
    raise Overloaded(f"bucket {bucket} changed {TRIES} times while it was being repaired: try in a quieter hour")
