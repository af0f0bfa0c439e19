"""The touches of all customers in a log, put aside by customer, and which items they say were viewed one by one."""

from collections.abc import Collection, Iterator

import numpy as np

from features.columns import Bools, Events, Text
from features.compiled import replayed
from features.contributions import Reader
from features.offline.piles import Array, Pile, by_part, narrow
from features.offline.scan import Batch
from features.states import touches_in
from features.windows import Ints


class CustomerTouches:
    """Takes batches of a scan that tells all customers apart; in parts, as the pile."""

    def __init__(self, pile: Pile) -> None:
        self._pile = pile
        self._items: dict[str, int] = {}

    def add(self, batch: Batch, known: Ints, counts: Bools) -> None:
        """Put the touches of events that count aside.

        Args:    known, counts: (n,) when each event became known, and whether it counts.
        """
        found = touches_in(read := Reader(batch.events), batch.events)
        keep = np.flatnonzero(counts[found.event])
        event = found.event[keep]
        item = np.array([self._items.setdefault(text, len(self._items)) for text in read.texts], np.int64)
        columns: list[Array] = [batch.customer[event], known[event], batch.events.time[event]]
        columns += [narrow(each) for each in (found.name[keep], found.sub[keep], item[found.code[keep]])]
        for part, rows in by_part(columns[0], self._pile.parts):
            self._pile.add(part, [column[rows] for column in columns])

    def coviews(self, columns: Collection[str]) -> Iterator[tuple[Events, Ints]]:
        """What they say, a part at a time: events of these columns, and when each became known."""
        texts = list(self._items)
        for part in range(self._pile.parts):
            chunks = self._pile.take(part)
            if not chunks:
                continue
            whole = [np.concatenate(column).astype(np.int64) for column in zip(*chunks, strict=True)]
            order = np.lexsort((whole[1], whole[0]))
            customer, known, time, event, sub, item = (column[order] for column in whole)
            found = replayed(customer, time, event, sub, Text(item.astype(np.int32), texts), columns)
            yield found.events, known[found.owner]
