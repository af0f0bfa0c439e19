"""All kernels at hand: compiled, or loaded from where they are kept, before the first event waits for them."""

import numpy as np

from features.compiled.additions import packed_additions
from features.compiled.coviewing import coviews
from features.compiled.folding import fold
from features.compiled.packing import pack
from features.compiled.unpacking import unpack
from features.decoded import from_events
from features.definitions import FEATURES
from features.events import decode
from features.table import Table
from features.tiles import Part

MESSAGE = (
    b'{"type":"track","event":"Order Completed","userId":"u","messageId":"%d","timestamp":"20%02d-01-01T00:00:00Z",'
    b'"properties":{"order_id":"o","products":[%s]}}'
)
ITEM = b'{"product_id":"item %d","price":9,"category":"c"}'
ITEMS = 2_100  # more than a state keeps, so that this is done too


def warm(table: Table = FEATURES) -> None:
    """Fold a few events of nobody, some years apart."""
    items = [b",".join(ITEM % number for number in range(begin, begin + 700)) for begin in range(0, ITEMS, 700)]
    messages = [MESSAGE % (at, 20 + at, items[at % len(items)]) for at in range(len(items) + 1)]
    states = unpack([None])
    for message in messages:
        events = from_events([decode(message, 2_000_000_000_000)], [2_000_000_000_000])
        owner = events.customer.codes.astype(np.int64)
        before, states = states, unpack(pack(fold(table, states, events, owner).states))
        coviews(before, states)
        packed_additions(table, Part(events, owner))
