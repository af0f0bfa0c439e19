"""A batch of events becomes commits, one a bucket: what the stream processor and every rebuild share."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from features.definitions import WEIGHTS
from features.errors import Overloaded
from features.events import Event
from features.folds import fold, pack, unpack
from features.items import Item
from features.online import BucketCommit, StateStore
from features.online.popularity import DAY_MS

TRIES = 20

Place = tuple[int, int]  # bucket, offset


@dataclass
class Batch:
    """Events by bucket with their offsets, in order; `ends` says which buckets move on, and to which offset."""

    events: dict[int, list[tuple[int, Event]]] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)

    def add(self, bucket: int, offset: int, event: Event) -> None:
        """Put the next event of a bucket in."""
        self.events.setdefault(bucket, []).append((offset, event))


@dataclass
class Folder:
    """Folds batches of one source on top of what the store holds; `positions` are the buckets' next offsets."""

    store: StateStore
    positions: dict[int, int]

    def fold(
        self, batch: Batch, buckets: Iterable[int] | None = None
    ) -> tuple[list[BucketCommit], set[tuple[int, int]]]:
        """Commits for the batch, not yet made, and (bucket, offset) of the events that were counted before."""
        wanted = sorted(batch.ends if buckets is None else buckets)
        fresh = {bucket: self._fresh(batch, bucket) for bucket in wanted}
        customers = {b: sorted({event.customer for _, event in events}) for b, events in fresh.items()}
        read = self.store.read(customers)
        duplicates: set[Place] = set()
        commits = []
        for bucket, events in fresh.items():
            version, packed = read[bucket]
            states = {c: unpack(value) for c, value in zip(customers[bucket], packed, strict=True)}
            popularity: dict[tuple[int, str], int] = {}
            for offset, event in events:
                if fold(states[event.customer], event):
                    _count(popularity, event)
                else:
                    duplicates.add((bucket, offset))
            commits.append(
                BucketCommit(
                    bucket=bucket,
                    version=version,
                    position=self.positions[bucket],
                    next_position=batch.ends[bucket],
                    states={customer: pack(state) for customer, state in states.items()},
                    popularity=popularity,
                )
            )
        return commits, duplicates

    def commit(self, batch: Batch, commits: list[BucketCommit]) -> None:
        """Make the commits; a bucket that another source's writer changed meanwhile is folded again.

        Raises:  Fenced, Rewound: as StateStore.commit; Overloaded: others are faster every time.
        """
        for _ in range(TRIES):
            overtaken = self.store.commit(commits)
            again = [commit.bucket for commit in overtaken]
            self.positions.update({c.bucket: c.next_position for c in commits if c.bucket not in again})
            if not again:
                return
            commits, _ = self.fold(batch, again)
        raise Overloaded(f"buckets {again} were overtaken {TRIES} times in a row by writers of other sources")

    def _fresh(self, batch: Batch, bucket: int) -> list[tuple[int, Event]]:
        """The bucket's events that its state doesn't reflect yet."""
        position = self.positions[bucket]
        return [entry for entry in batch.events.get(bucket, ()) if entry[0] >= position]


def buckets_of_partition(partition: int, partitions: int, buckets: int) -> range:
    """The buckets whose events lie in a partition."""
    return range(partition, buckets, partitions)


def stubs(event: Event) -> Iterable[Item]:
    """What an event's lines tell about its items, for those that the catalogue doesn't know yet."""
    for line in event.lines:
        if not line.item_id.strip():
            continue
        yield Item(
            item_id=line.item_id,
            title=(line.name or "")[:1000],
            category=(line.category or "")[:255],
            price=line.price,
            currency=event.currency,
            incomplete=True,
        )


def _count(popularity: dict[tuple[int, str], int], event: Event) -> None:
    weight = WEIGHTS.get(event.name)
    if weight is None:
        return
    for line in event.lines:
        key = (event.event_time // DAY_MS, line.item_id)
        popularity[key] = popularity.get(key, 0) + weight
