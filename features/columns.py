"""Events as columns: what is folded online, written to the Parquet log and read back offline, one path for both."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from features.events import EVENTS

MISSING = -(2**63)
NAMES: tuple[str, ...] = (*EVENTS, "identify", "page", "screen", "group", "alias")
TOGETHER, APART = len(NAMES), len(NAMES) + 1  # what `features.coviews` makes of touches, beyond the names of events

# Which property each column comes from. Money is in minor units of the event's currency.
EVENT_NUMBERS = (
    "total",  # total, else revenue
    "discount",
    "shipping",
    "tax",
)
EVENT_TEXTS = (
    "currency",  # three capitals
    "coupon",
    "device",  # context.device.type, else by context.userAgent: mobile, tablet or desktop
    "country",  # context.location.country, else the region of context.locale
    "locale",  # context.locale
    "source",  # context.campaign.source
    "medium",  # context.campaign.medium
)
LINE_NUMBERS = (
    "pieces",  # quantity, at least 1; never MISSING
    "cents",  # price * quantity: the whole line; MISSING where it has no price
    "price",  # price of one
)
LINE_TEXTS = (
    "item",  # product_id, else sku; never empty
    "category",
    "brand",
    "variant",
    "name",
)

Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[np.int16]
Rows = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Index = Bools | Rows | Numbers


class Text(NamedTuple):
    """A column of texts: row i is `values[codes[i]]`; "" is absent. Values differ, and some may have no row."""

    codes: Rows  # (n,)
    values: list[str]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Text":
        """A column from its texts, values in the order of their first rows."""
        index = {text: at for at, text in enumerate(dict.fromkeys(texts))}
        if len(index) < 2:
            return cls(np.zeros(len(texts), np.int32), list(index))
        return cls(np.fromiter(map(index.__getitem__, texts), np.int32, len(texts)), list(index))

    def map(self, change: Callable[[str], str]) -> "Text":
        """The column with every value changed; values that become equal become one."""
        merged = Text.of([change(value) for value in self.values])
        return Text(merged.codes[self.codes], merged.values)

    def take(self, rows: Index) -> "Text":
        """The column of some rows, in their order, with the same values."""
        return Text(self.codes[rows], self.values)

    def present(self) -> Bools:
        """(n,) whether a row has a text."""
        return np.array([value != "" for value in self.values], bool)[self.codes]

    def texts(self) -> list[str]:
        """The rows as texts."""
        return list(map(self.values.__getitem__, self.codes.tolist()))


class Events(NamedTuple):
    """n events in the order of their log, with m lines. Times are int ms UTC; numbers are MISSING where absent."""

    customer: Text  # raw ids: `u:...` or `a:...`
    name: Names  # (n,) index into NAMES; -1 is an unknown name
    time: Numbers  # (n,) when it happened; never after `available`
    received: Numbers  # (n,) when the server took it
    available: Numbers  # (n,) when a reader could know it
    message: Hashes  # (n,) message_hash of messageId
    trusted: Bools  # (n,) whether a server sent it
    numbers: dict[str, Numbers]  # EVENT_NUMBERS, (n,) each
    texts: dict[str, Text]  # EVENT_TEXTS, (n,) each
    line_of: Rows  # (m,) the event that a line belongs to, ascending
    line_numbers: dict[str, Numbers]  # LINE_NUMBERS, (m,) each
    line_texts: dict[str, Text]  # LINE_TEXTS, (m,) each

    @property
    def n(self) -> int:
        """How many events; `len` is that of the tuple."""
        return len(self.name)

    def take(self, rows: Index) -> "Events":
        """Some of the events with their lines, in the order given.

        Args:    rows: (k,) indices, or a mask (n,).
        """
        chosen = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows.astype(np.int64)
        lines, line_of = _lines_of(self.line_of, chosen, self.n)
        return Events(
            customer=self.customer.take(chosen),
            name=self.name[chosen],
            time=self.time[chosen],
            received=self.received[chosen],
            available=self.available[chosen],
            message=self.message[chosen],
            trusted=self.trusted[chosen],
            numbers={key: column[chosen] for key, column in self.numbers.items()},
            texts={key: column.take(chosen) for key, column in self.texts.items()},
            line_of=line_of,
            line_numbers={key: column[lines] for key, column in self.line_numbers.items()},
            line_texts={key: column.take(lines) for key, column in self.line_texts.items()},
        )


def empty() -> Events:
    """No events, with all columns."""
    none, absent = np.empty(0, np.int64), Text.of([])
    return Events(
        customer=absent,
        name=np.empty(0, np.int16),
        time=none,
        received=none,
        available=none,
        message=np.empty(0, np.uint64),
        trusted=np.empty(0, np.bool_),
        numbers=dict.fromkeys(EVENT_NUMBERS, none),
        texts=dict.fromkeys(EVENT_TEXTS, absent),
        line_of=np.empty(0, np.int32),
        line_numbers=dict.fromkeys(LINE_NUMBERS, none),
        line_texts=dict.fromkeys(LINE_TEXTS, absent),
    )


def concat(parts: Sequence[Events]) -> Events:
    """One after the other; all have the same columns."""
    if len(parts) < 2:
        return parts[0] if parts else empty()
    first = parts[0]
    ends = np.cumsum([0, *(part.n for part in parts)]).tolist()
    return Events(
        customer=_joined([part.customer for part in parts]),
        name=np.concatenate([part.name for part in parts]),
        time=np.concatenate([part.time for part in parts]),
        received=np.concatenate([part.received for part in parts]),
        available=np.concatenate([part.available for part in parts]),
        message=np.concatenate([part.message for part in parts]),
        trusted=np.concatenate([part.trusted for part in parts]),
        numbers={key: np.concatenate([part.numbers[key] for part in parts]) for key in first.numbers},
        texts={key: _joined([part.texts[key] for part in parts]) for key in first.texts},
        line_of=np.concatenate([part.line_of + np.int32(at) for part, at in zip(parts, ends, strict=False)]),
        line_numbers={key: np.concatenate([part.line_numbers[key] for part in parts]) for key in first.line_numbers},
        line_texts={key: _joined([part.line_texts[key] for part in parts]) for key in first.line_texts},
    )


def message_hashes(message_ids: Sequence[str]) -> Hashes:
    """(n,) message_hash of each."""
    digests = [blake2b(message_id.encode(), digest_size=8).digest() for message_id in message_ids]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def _joined(parts: list[Text]) -> Text:
    whole = Text.of([value for part in parts for value in part.values])
    firsts = np.cumsum([0, *(len(part.values) for part in parts)]).tolist()
    codes = [part.codes + np.int32(first) for part, first in zip(parts, firsts, strict=False)]
    return Text(whole.codes[np.concatenate(codes)], whole.values)


def _lines_of(line_of: Rows, chosen: Numbers, n: int) -> tuple[Numbers, Rows]:
    """The lines of some events, and which of those events each belongs to."""
    starts = np.searchsorted(line_of, np.arange(n + 1))
    counts = np.diff(starts)[chosen]
    ends = np.cumsum(counts)
    shift = np.repeat(starts[chosen] - ends + counts, counts)
    return shift + np.arange(len(shift)), np.repeat(np.arange(len(chosen), dtype=np.int32), counts)
