"""States of a few customers folded from plain events, for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.folds import fold
from features.packing import pack, unpack
from features.profiles import Profile
from features.reading import evaluate, value_of
from features.states import States
from features.table import Table
from tests.features.histories import Happening, columns


def folded(features: Table, packed: dict[str, bytes], batch: Sequence[Happening]) -> dict[str, bytes]:
    """The states of the customers in a batch after it."""
    ids = sorted({event.customer for event in batch})
    owner = np.array([ids.index(event.customer) for event in batch], np.int64)
    states = fold(features, unpack([packed.get(each) for each in ids]), columns(batch), owner).states
    return dict(zip(ids, pack(states), strict=True))


def counts(features: Table, state: bytes | None, event: Happening) -> bool:
    """Whether an event would count on top of a state."""
    return bool(fold(features, unpack([state]), columns([event]), np.zeros(1, np.int64)).counted[0])


def values(features: Table, state: States, now: int) -> dict[str, Any]:
    """All features of one state."""
    found = evaluate(features, state, np.array([now]), features.features)
    return {name: value_of(feature, found[name], 0) for name, feature in features.features.items()}


def read(features: Table, log: Sequence[Happening], now: int = -1) -> dict[str, Any]:
    """All features of the one customer of a log, by default at its newest event."""
    (state,) = folded(features, {}, log).values()
    moment = max(now, *(event.time for event in log))
    found = values(features, unpack([state]), moment)
    alone = Profile([state], features).features(moment, features.features)
    assert alone == found, "read alone it is another value than read among others"
    return found
