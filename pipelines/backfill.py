"""Rebuild the live state from the event log: from nothing, or from wherever each bucket stands."""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby, islice

from features.offline import EventLog, ItemLog, LoggedEvent, LoggedItem, Segments, read_events, read_items
from features.online import CatalogueStore, Client, StateStore
from features.online.state import bucket_of_customer
from pipelines.folding import Batch, Folder, buckets_of_partition, stubs

Progress = Callable[[int], None]
IMPORTED = "import."  # what the names of sources that come from files begin with


def restore(
    client: Client,
    events: EventLog,
    items: ItemLog,
    buckets: int,
    progress: Progress = lambda _: None,
    skip: Collection[str] = (),
) -> int:
    """Fold whatever the log holds beyond the positions in Redis; returns the number of events folded.

    A Redis that is up to date is not touched; one that is empty, or fell back to an older snapshot, catches up.

    Args:    skip: names of sources that somebody else takes care of.
    """
    restore_items(client, items)
    wanted = [source for source in events.sources() if source.name not in skip]
    return sum(restore_source(client, source, buckets, progress) for source in wanted)


def restore_source(client: Client, source: Segments, buckets: int, progress: Progress = lambda _: None) -> int:
    """The same for one source; it claims only the buckets of partitions where there is something to do."""
    store = StateStore(client, source.name, buckets)
    partitions = partitions_of_source(source.name)
    stands = store.positions()
    ends = {
        partition: end
        for partition, end in source.ends().items()
        if any(stands[bucket] < end for bucket in buckets_of_partition(partition, partitions, buckets))
    }
    if not ends:
        return 0
    behind = [bucket for partition in ends for bucket in buckets_of_partition(partition, partitions, buckets)]
    return catch_up(Folder(store, store.claim(behind)), CatalogueStore(client), source, ends, progress)


def catch_up(
    folder: Folder, catalogue: CatalogueStore, log: Segments, ends: dict[int, int], progress: Progress = lambda _: None
) -> int:
    """Fold a source's log beyond the buckets' positions; returns the number of events read.

    Args:    folder: its buckets are claimed; ends: how far to go, by partition: a zombie may still write beyond.
    """
    partitions, buckets = partitions_of_source(log.name), folder.store.buckets
    starts = {p: min(folder.positions[b] for b in buckets_of_partition(p, partitions, buckets)) for p in ends}
    folded = 0
    for read in read_events(log, {p: start for p, start in starts.items() if start < ends[p]}):
        rows = [row for row in read if row.offset < ends[row.partition]]
        if rows:
            _fold_rows(folder, catalogue, rows, log.name)
            folded += len(rows)
            progress(folded)
    _advance(folder, ends, partitions)
    return folded


def restore_items(client: Client, items: ItemLog) -> None:
    """Catalogue upserts that Redis hasn't taken yet, of all sources in the order in which they became known."""
    catalogue = CatalogueStore(client)
    ends = {(source.name, p): end for source in items.sources() for p, end in source.ends().items()}
    behind = {place: end for place, end in ends.items() if catalogue.position(*place) < end}
    streams = [_item_rows(items.source(name), p, catalogue.position(name, p)) for name, p in behind]
    ordered = heapq.merge(*streams, key=lambda entry: (entry[1].available_at, entry[0], entry[1][:2]))
    for (name, partition), group in groupby(ordered, key=lambda entry: (entry[0], entry[1].partition)):
        for rows in _chunks(row for _, row in group):
            upserts = [(row.item_id, row.value) for row in rows]
            catalogue.upsert(name, partition, rows[-1].offset + 1, upserts)
    for (name, partition), end in behind.items():
        catalogue.upsert(name, partition, end, [])


def source_name(topic: str, log_id: str, partitions: int) -> str:
    """Name of a source in the log and of its positions in Redis."""
    safe = "".join(character if character.isalnum() or character in "-_" else "-" for character in log_id)
    return f"{topic}.{safe}.p{partitions}"


def partitions_of_source(name: str) -> int:
    """How many partitions the source's offsets are counted in."""
    return int(name.rpartition(".p")[2])


def _item_rows(source: Segments, partition: int, position: int) -> Iterator[tuple[str, LoggedItem]]:
    for rows in read_items(source, {partition: position}):
        yield from ((source.name, row) for row in rows)


def _chunks(rows: Iterable[LoggedItem], size: int = 5_000) -> Iterator[list[LoggedItem]]:
    remaining = iter(rows)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _fold_rows(folder: Folder, catalogue: CatalogueStore, rows: list[LoggedEvent], source: str) -> None:
    """Files may name items in any event; from the open Kafka, only orders do, as while it was live."""
    buckets, partitions = folder.store.buckets, partitions_of_source(source)
    batch = Batch()
    for row in rows:
        if not row.duplicate:
            batch.add(bucket_of_customer(row.event.customer, buckets), row.offset, row.event)
    end = rows[-1].offset + 1
    for bucket in buckets_of_partition(rows[0].partition, partitions, buckets):
        if folder.positions[bucket] < end:
            batch.ends[bucket] = end
    imported = source.startswith(IMPORTED)
    named = [row.event for row in rows if imported or row.event.name == "Order Completed"]
    catalogue.create_missing(stub for event in named for stub in stubs(event))
    commits, _ = folder.fold(batch)
    folder.commit(batch, commits)


def _advance(folder: Folder, ends: dict[int, int], partitions: int) -> None:
    """Offsets that held no accepted event are behind us as well."""
    behind = {b: ends.get(b % partitions, 0) for b in folder.positions}
    batch = Batch(ends={b: end for b, end in behind.items() if end > folder.positions[b]})
    if batch.ends:
        commits, _ = folder.fold(batch)
        folder.commit(batch, commits)
