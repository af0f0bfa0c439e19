"""`python -m features.compiled` compiles all kernels, so that nobody waits for it later; `make install` does it."""

import numpy as np

from features.compiled import fold, pack, unpack
from features.decoded import from_events
from features.definitions import FEATURES
from features.events import decode

MESSAGE = b'{"type":"track","event":"Product Viewed","userId":"u","messageId":"m","properties":{"product_id":"i"}}'


def main() -> None:
    """Fold one event, twice."""
    events = from_events([decode(MESSAGE, 1)], [1])
    states = unpack([None])
    for _ in range(2):
        states = unpack(pack(fold(FEATURES, states, events, events.customer.codes.astype(np.int64)).states))


if __name__ == "__main__":
    main()
