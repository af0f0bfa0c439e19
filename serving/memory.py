"""Garbage collection out of the way of requests: what a worker has loaded stays for long, and isn't looked at again."""

import gc

# A request leaves nothing in cycles; so that what does (tasks, errors) is found seldom and the young stay few.
THRESHOLDS = (20_000, 20, 50)


def settle() -> None:
    """Once the model and the catalogue are loaded: collect, and leave what is there out of later collections."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
