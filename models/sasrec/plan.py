"""What the data decide about a fit of sasrec: lengths, batches, dropout, how many steps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.histories import Histories

if TYPE_CHECKING:
    from models.sasrec.model import SasRecConfig

TOKENS = (128, 2048)  # targets in a batch, of small and of large data
BATCHES = 64  # that an epoch of small data is divided into
FEWEST_STEPS = 100
ROUND_STEPS = 250  # at most so many between two looks at the held-out events
MOST_HELD = 4_000
FEWEST_HELD = 20  # with fewer held-out events nobody can tell when to stop, and it is UNWATCHED epochs
UNWATCHED = 10
DROPOUT = (0.2, 0.5)  # of items with many events and of items with eight or fewer


@dataclass(frozen=True)
class Plan:
    """One fit: `length` events are read, a batch has about `tokens` targets, `negatives` 0 stands for full softmax.

    There are at most `rounds` of `round_steps` steps, and the last events of `held` users tell when to stop.
    """

    length: int
    tokens: int
    dropout: float
    negatives: int
    round_steps: int
    rounds: int
    held: int


def planned(histories: Histories, config: "SasRecConfig") -> Plan:
    """The plan for these histories."""
    counts = histories.counts
    targets = int(np.maximum(counts - 1, 0).sum())
    tokens = int(np.clip(targets // BATCHES, *TOKENS))
    held = min(int((counts > 2).sum()) // 10, MOST_HELD)
    held = held if held >= FEWEST_HELD else 0
    epoch = -(-targets // tokens)
    epochs = config.epochs if held else min(config.epochs, UNWATCHED)
    steps = int(np.clip(epochs * epoch, FEWEST_STEPS, max(config.steps, epoch))) if targets else 0
    round_steps = max(1, min(ROUND_STEPS, steps // 10))
    return Plan(
        length=int(np.clip(counts.max(initial=0) - 1, 1, config.longest)),
        tokens=tokens,
        dropout=config.dropout or _dropout(histories),
        negatives=0 if histories.n_items <= _full_up_to(config) else config.negatives,
        round_steps=round_steps,
        rounds=steps // round_steps,
        held=held,
    )


def _full_up_to(config: "SasRecConfig") -> int:
    """Items: on a GPU a whole catalogue costs little, and finds more than a sample (benchmarks/quality.md)."""
    return config.full_softmax_on_cuda_up_to if config.device.startswith("cuda") else config.full_softmax_up_to


def _dropout(histories: Histories) -> float:
    """The fewer events an item has, the more of it is hidden: 0.44 at 13 events, 0.37 at 25, 0.2 from 110."""
    events = len(histories.items) / max(len(np.unique(histories.items)), 1)
    return float(np.clip(0.5 - 0.08 * np.log2(max(events, 1.0) / 8), *DROPOUT))
