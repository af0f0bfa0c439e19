"""What goes through the stages: candidates in the order in which they would be shown."""

from typing import NamedTuple


class Candidate(NamedTuple):
    """An item with its source's own score.

    `like` is the item that it is similar to, where that is why it is here; `rules` names the actions that moved it,
    `pinned` is the position that one of them fixed, 0 for none.
    """

    item_id: str
    score: float
    source: str
    like: str = ""
    rules: tuple[str, ...] = ()
    pinned: int = 0


Pool = list[Candidate]
