"""A batch of events becomes commits, one a bucket: what the stream processor and every rebuild share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.columns import MISSING, NAMES, Events, Text
from features.compiled import coviews, fold, pack, packed_additions, unpack
from features.errors import Overloaded, Rewound
from features.items import Item
from features.kafka.topics import murmur2_many
from features.money import exponent
from features.online import NO_TILES, BucketCommit, StateStore
from features.states import States
from features.table import Table
from features.tiles import Part
from features.windows import TILE_MS, Ints

TRIES = 20

Bools = npt.NDArray[np.bool_]


class Batch(NamedTuple):
    """Events with where they lie; `ends` says which buckets move on, and to which offset."""

    events: Events
    offset: Ints  # (n,)
    bucket: Ints  # (n,)
    ends: Mapping[int, int]


@dataclass(frozen=True)
class Buckets:
    """So many buckets; the one of a customer is that of its Kafka key, the raw id without its `u:` or `a:`."""

    buckets: int

    def of(self, customers: list[str]) -> Ints:
        """(n,) the bucket of each raw id."""
        hashes = murmur2_many([customer[2:].encode() for customer in customers]).astype(np.int64)
        return (hashes & 0x7FFFFFFF) % self.buckets


@dataclass
class Folder:
    """Folds batches of one source on top of what the store holds; `positions` are the buckets' next offsets."""

    store: StateStore
    table: Table
    positions: dict[int, int] = field(default_factory=dict)

    def fold(self, batch: Batch, buckets: Iterable[int] | None = None) -> tuple[list[BucketCommit], Bools]:
        """Commits for the batch, not yet made, and (n,) which of its events were counted before.

        Args:    buckets: the only ones to make commits for; None is all that move on.
        """
        wanted = sorted(batch.ends if buckets is None else buckets)
        fresh = np.flatnonzero(self._fresh(batch, wanted))
        events, bucket = batch.events.take(fresh), batch.bucket[fresh]
        ids, owner, owned = _owners(events, bucket, wanted)
        read = self.store.read(owned)
        states = unpack([value for each in wanted for value in read[each][1]])
        folded = fold(self.table, states, events, owner)
        packed = dict(zip(ids, pack(folded.states), strict=True))
        counted = events.take(folded.counted)
        whose = np.repeat(np.array(wanted, np.int64), [len(owned[each]) for each in wanted])
        more = coviewed(self.table, states, folded.states, whose)
        tiles = packed_additions(self.table, Part(counted, bucket[folded.counted]), *more)
        newest = np.zeros(self.store.buckets, np.int64)  # of what counts only: a rebuild leaves duplicates out
        np.maximum.at(newest, bucket[folded.counted], counted.time // TILE_MS)
        commits = [
            BucketCommit(
                bucket=each,
                version=read[each][0],
                position=self.positions[each],
                next_position=batch.ends[each],
                states={customer: packed[customer] for customer in owned[each]},
                tiles=tiles.get(each, NO_TILES),
                newest=int(newest[each]),
            )
            for each in wanted
        ]
        duplicate = np.zeros(batch.events.n, np.bool_)
        duplicate[fresh] = ~folded.counted
        return commits, duplicate

    def commit(self, batch: Batch, commits: list[BucketCommit], step: Callable[[], None] = lambda: None) -> None:
        """Make the commits; a bucket that another source's writer changed meanwhile is folded again.

        Raises:  Fenced, Rewound: as StateStore.commit; Overloaded: others are faster every time.
        """
        for _ in range(TRIES):
            overtaken = self.store.commit(commits)
            again = [commit.bucket for commit in overtaken]
            self.positions.update({c.bucket: c.next_position for c in commits if c.bucket not in again})
            step()
            if not again:
                return
            commits, _ = self.fold(batch, again)
        raise Overloaded(f"buckets {again} were overtaken {TRIES} times in a row by writers of other sources")

    def check(self) -> None:
        """See whether the store is where this folder left it.

        Raises:  Fenced, Rewound: another has followed, or the store fell back.
        """
        self.store.read({bucket: [] for bucket in self.positions})
        stands = self.store.positions() if self.positions else {}
        for bucket, position in self.positions.items():
            if stands[bucket] != position:
                raise Rewound(f"bucket {bucket}", stands[bucket])

    def _fresh(self, batch: Batch, wanted: list[int]) -> Bools:
        """The events of these buckets that their states don't reflect yet."""
        positions = np.full(self.store.buckets, np.iinfo(np.int64).max)
        for bucket in wanted:
            positions[bucket] = self.positions[bucket]
        fresh: Bools = batch.offset >= positions[batch.bucket]
        return fresh


def coviewed(table: Table, old: States, new: States, bucket: Ints) -> list[Part]:
    """What states say more of items viewed one after the other, and no longer, where a table has it.

    Args:    bucket: (n,) of each state.
    """
    if not table.coviewed:
        return []
    found = coviews(old, new)
    return [Part(found.events, bucket[found.owner])]


def _owners(events: Events, bucket: Ints, wanted: list[int]) -> tuple[list[str], Ints, dict[int, list[str]]]:
    """The customers by bucket, one list of all in that order, and (n,) which of that list each event is of."""
    codes, first, index = np.unique(events.customer.codes, return_index=True, return_inverse=True)
    names = [events.customer.values[code] for code in codes.tolist()]
    whose = bucket[first]
    order = np.argsort(whose, kind="stable")
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    owned: dict[int, list[str]] = {each: [] for each in wanted}
    for at in order.tolist():
        owned[int(whose[at])].append(names[at])
    return [names[at] for at in order.tolist()], place[index], owned


def buckets_of_partition(partition: int, partitions: int, buckets: int) -> range:
    """The buckets whose events lie in a partition."""
    return range(partition, buckets, partitions)


def stubs(events: Events, every: bool = False) -> list[Item]:
    """What lines tell about their items, for those that the catalogue doesn't know yet: each item's first line
    that has a name, else its first.

    Args:    every: take lines of any event; else of a server's orders only: a browser may say anything.
    """
    orders = np.flatnonzero(((events.name == NAMES.index("Order Completed")) & events.trusted)[events.line_of])
    lines = np.arange(len(events.line_of)) if every else orders
    items, texts = events.line_texts["item"], events.line_texts
    lines = lines[np.argsort(~texts["name"].present()[lines], kind="stable")]  # a line that names it comes first
    found = []
    for code, first in zip(*np.unique(items.codes[lines], return_index=True), strict=True):
        line = int(lines[first])
        event = int(events.line_of[line])
        currency = events.texts["currency"]
        code_of = currency.values[currency.codes[event]]
        price = int(events.line_numbers["price"][line])
        if items.values[code].strip():
            found.append(
                Item(
                    item_id=items.values[code],
                    title=_text(texts["name"], line)[:1000],
                    category=_text(texts["category"], line)[:255],
                    price=None if price == MISSING else price / 10 ** exponent(code_of),
                    currency=code_of,
                    incomplete=True,
                )
            )
    return found


def _text(column: Text, row: int) -> str:
    value: str = column.values[column.codes[row]]
    return value
