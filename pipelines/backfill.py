"""Rebuild the live state from the event log: from nothing, or from wherever each bucket stands."""

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from features.columns import Events, empty
from features.definitions import FEATURES
from features.offline import EventLog, ItemLog, LoggedItem, Segments, read_columns, read_edges, read_items
from features.online import CatalogueStore, Client, IdentityStore, Merger, StateStore, generations
from features.table import Table
from features.tiles import kept_tiles
from features.windows import Ints
from pipelines.folding import Batch, Buckets, Folder, buckets_of_partition, stubs

Progress = Callable[[int], None]
IMPORTED = "import."  # what the names of sources that come from files begin with


def restore(
    client: Client,
    events: EventLog,
    items: ItemLog,
    buckets: int,
    progress: Progress = lambda _: None,
    skip: Collection[str] = (),
    table: Table = FEATURES,
) -> int:
    """Fold whatever the log holds beyond the positions in Redis; returns the number of events folded.

    A Redis that is up to date is not touched; one that is empty, or fell back to an older snapshot, catches up.

    Args:    skip: names of sources that somebody else takes care of; table: the features to fold for.
    """
    restore_items(client, items)
    wanted = [source for source in events.sources() if source.name not in skip]
    folded = 0

    def more(done: int) -> None:
        progress(folded + done)

    for source in wanted:
        folded += restore_source(client, source, buckets, more, table)
    return folded


def restore_all(
    client: Client,
    data: Path,
    buckets: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    table: Table = FEATURES,
) -> int:
    """Fold the whole log into a generation of the features, and let readers go over to it if none is live.

    Where another one is live, it stays so: the stream processor of the new code takes over once it has caught up.
    """
    log = EventLog(data)
    rows = sum(end for source in log.sources() for end in source.ends().values())
    folded = restore(client, log, ItemLog(data), buckets, lambda done: progress(done, rows), table=table)
    restore_identity(client, log, buckets)
    Merger(client, buckets, table).merge()
    if generations.live(client) is None:
        generations.announce(client, table)
        generations.make_live(client, table.generation, None)
    return folded


def restore_identity(client: Client, events: EventLog, buckets: int) -> None:
    """Put the edges that the log holds beside their ids, of segments that they weren't read from yet."""
    store = IdentityStore(client, buckets)
    ends = {source.name: source.ends() for source in events.sources()}
    known = store.logged()
    if any(end > known.get(name, {}).get(p, 0) for name, mine in ends.items() for p, end in mine.items()):
        store.add(read_edges(events, known))
        store.mark_logged(ends)


def restore_source(
    client: Client, source: Segments, buckets: int, progress: Progress = lambda _: None, table: Table = FEATURES
) -> int:
    """The same for one source; it claims only the buckets of partitions where there is something to do."""
    folder = folder_of(client, source.name, buckets, table)
    partitions = partitions_of_source(source.name)
    stands = folder.store.positions()
    ends = {
        partition: end
        for partition, end in source.ends().items()
        if any(stands[bucket] < end for bucket in buckets_of_partition(partition, partitions, buckets))
    }
    if not ends:
        return 0
    behind = [bucket for partition in ends for bucket in buckets_of_partition(partition, partitions, buckets)]
    folder.positions = folder.store.claim(behind)
    return catch_up(folder, CatalogueStore(client), source, ends, progress)


def folder_of(client: Client, source: str, buckets: int, table: Table = FEATURES) -> Folder:
    """A folder of one source that owns nothing yet."""
    return Folder(StateStore(client, source, buckets, table.generation, kept_tiles(table)), table)


def catch_up(
    folder: Folder, catalogue: CatalogueStore, log: Segments, ends: dict[int, int], progress: Progress = lambda _: None
) -> int:
    """Fold a source's log beyond the buckets' positions; returns the number of events read.

    Args:    folder: its buckets are claimed; ends: how far to go, by partition: a zombie may still write beyond.
    """
    partitions, buckets = partitions_of_source(log.name), Buckets(folder.store.buckets)
    starts = {p: min(folder.positions[b] for b in buckets_of_partition(p, partitions, buckets.buckets)) for p in ends}
    folded = 0
    for partition, offsets, duplicate, events in read_columns(log, {p: s for p, s in starts.items() if s < ends[p]}):
        inside = offsets < ends[partition]
        if inside.any():
            keep = inside & ~duplicate
            end = int(offsets[inside][-1]) + 1
            _fold_rows(folder, catalogue, buckets, log.name, partition, end, offsets[keep], events.take(keep))
            folded += int(inside.sum())
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


def _fold_rows(
    folder: Folder,
    catalogue: CatalogueStore,
    buckets: Buckets,
    source: str,
    partition: int,
    end: int,
    offsets: Ints,
    events: Events,
) -> None:
    """Files may name items in any event; from the open Kafka, only orders do, as while it was live."""
    mine = buckets_of_partition(partition, partitions_of_source(source), buckets.buckets)
    ends = {bucket: end for bucket in mine if folder.positions[bucket] < end}
    batch = Batch(events, offsets, buckets.of(events.customer.values)[events.customer.codes], ends)
    catalogue.create_missing(stubs(events, every=source.startswith(IMPORTED)))
    commits, _ = folder.fold(batch)
    folder.commit(batch, commits)


def _advance(folder: Folder, ends: dict[int, int], partitions: int) -> None:
    """Offsets that held no accepted event are behind us as well."""
    behind = {b: ends.get(b % partitions, 0) for b in folder.positions}
    none = np.empty(0, np.int64)
    batch = Batch(empty(), none, none, {b: end for b, end in behind.items() if end > folder.positions[b]})
    if batch.ends:
        commits, _ = folder.fold(batch)
        folder.commit(batch, commits)
