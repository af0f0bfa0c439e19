"""What goes through the stages: candidates in the order in which they would be shown."""

from msgspec import Struct


class Candidate(Struct, frozen=True, gc=False):
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

    def scored(self, score: float) -> "Candidate":
        """The same with another score; many times as fast as replace()."""
        return Candidate(self.item_id, score, self.source, self.like, self.rules, self.pinned)


Pool = list[Candidate]


def below(chosen: Pool, more: Pool) -> Pool:
    """What is chosen, and more of another source or order shifted as a block so that all of it scores below."""
    best = max((candidate.score for candidate in more), default=0.0)
    shift = min(0.0, chosen[-1].score - 1.0 - best) if chosen else 0.0
    shifted = [candidate.scored(candidate.score + shift) for candidate in more] if shift else more
    # Sorted after the shift: it may round two scores to the same one.
    return chosen + sorted(shifted, key=lambda candidate: (-candidate.score, candidate.item_id))
