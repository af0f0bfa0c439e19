"""Rebuild the live state from the event log: from nothing, or from wherever each bucket stands."""

from collections.abc import Callable

from features.offline import EventLog, ItemLog, LoggedEvent, Segments, read_events, read_items
from features.online import CatalogueStore, Client, StateStore
from features.online.state import bucket_of_customer
from pipelines.folding import Batch, Folder, buckets_of_partition, stubs

Progress = Callable[[int], None]


def restore(client: Client, events: EventLog, items: ItemLog, buckets: int, progress: Progress = lambda _: None) -> int:
    """Fold whatever the log holds beyond the positions in Redis; returns the number of events folded.

    A Redis that is up to date is not touched; one that is empty, or fell back to an older snapshot, catches up.
    """
    restore_items(client, items)
    return sum(restore_source(client, source, buckets, progress) for source in events.sources())


def restore_source(client: Client, source: Segments, buckets: int, progress: Progress = lambda _: None) -> int:
    """The same for one source; it claims the buckets only where there is something to do."""
    store = StateStore(client, source.name, buckets)
    partitions = partitions_of_source(source.name)
    ends = source.ends()
    stands = store.positions()
    if all(stands[bucket] >= ends.get(bucket % partitions, 0) for bucket in range(buckets)):
        return 0
    folder = Folder(store, store.claim(list(range(buckets))))
    starts = {
        partition: min(folder.positions[b] for b in buckets_of_partition(partition, partitions, buckets))
        for partition in ends
    }
    catalogue = CatalogueStore(client)
    folded = 0
    for rows in read_events(source, starts):
        _fold_rows(folder, catalogue, rows, partitions)
        folded += len(rows)
        progress(folded)
    _advance(folder, ends, partitions)
    return folded


def restore_items(client: Client, items: ItemLog) -> None:
    """Catalogue upserts that Redis hasn't taken yet."""
    catalogue = CatalogueStore(client)
    for source in items.sources():
        for rows in read_items(source):
            upserts = [(row.item_id, row.value) for row in rows]
            catalogue.upsert(source.name, rows[0].partition, rows[-1].offset + 1, upserts)


def source_name(topic: str, log_id: str, partitions: int) -> str:
    """Name of a source in the log and of its positions in Redis."""
    safe = "".join(character if character.isalnum() or character in "-_" else "-" for character in log_id)
    return f"{topic}.{safe}.p{partitions}"


def partitions_of_source(name: str) -> int:
    """How many partitions the source's offsets are counted in."""
    return int(name.rpartition(".p")[2])


def _fold_rows(folder: Folder, catalogue: CatalogueStore, rows: list[LoggedEvent], partitions: int) -> None:
    batch = Batch()
    for row in rows:
        if not row.duplicate:
            batch.add(bucket_of_customer(row.event.customer, folder.store.buckets), row.offset, row.event)
    end = rows[-1].offset + 1
    for bucket in buckets_of_partition(rows[0].partition, partitions, folder.store.buckets):
        if folder.positions[bucket] < end:
            batch.ends[bucket] = end
    catalogue.create_missing(stub for row in rows for stub in stubs(row.event))
    commits, _ = folder.fold(batch)
    folder.commit(batch, commits)


def _advance(folder: Folder, ends: dict[int, int], partitions: int) -> None:
    """Offsets that held no accepted event are behind us as well."""
    behind = {b: ends.get(b % partitions, 0) for b in folder.positions}
    batch = Batch(ends={b: end for b, end in behind.items() if end > folder.positions[b]})
    commits, _ = folder.fold(batch)
    folder.commit(batch, commits)
