"""What a decision is made from: a champion with its catalogue columns, swapped as one object."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from features.items import Item
from models.contracts import Model
from models.ranker import Ranker
from serving.decide.actions import Action
from serving.decide.catalogue import Catalogue
from serving.decide.columns import Columns
from serving.decide.trends import Trends


@dataclass(frozen=True)
class Champion:
    """A loaded, warm model of one version, with the columns of its items."""

    name: str
    version: str
    model: Model
    columns: Columns


@dataclass(frozen=True)
class Canary:
    """A challenger that is tried on a share of the customers, from 0 to 1; `seed` draws others for each trial."""

    challenger: Champion
    share: float
    seed: str = ""


@dataclass(frozen=True)
class LoadedRanker:
    """A loaded ranker of one version."""

    version: str
    model: Ranker


@dataclass(frozen=True)
class Policy:
    """How slates are made beside the models: the rate of exploration, the most that one category may take.

    `grace` is how often an item is shown in vain before it moves down, so that a reload doesn't move it; 0 moves none.
    """

    exploration: float = 0.0
    category_share: float = 1.0
    grace: int = 3


@dataclass(frozen=True)
class State:
    """Everything that one answer is made from; whoever answers binds it once, so that no answer mixes versions.

    `champion` is that of the first model of the settings that has one, `sources` those of the models after it, in
    their order; `variant` is "champion" or "canary" in a State that a canary's assignment picked, else empty.
    `shadow` is asked once the answer is out, and counted as `shadow_trial`; `spare` are warm, and asked by nobody until
    they are promoted.
    `items` holds the live features of items that a ranker reads, in the order of ranker_rows.ITEM.
    `catalogue` is None until it could be read once. What changes in the catalogue is taken in between two answers.
    """

    champion: Champion | None = None
    sources: tuple[Champion, ...] = ()
    canary: Canary | None = None
    variant: str = ""
    ranker: LoadedRanker | None = None
    shadow: Champion | None = None
    shadow_trial: str = ""
    spare: tuple[Champion, ...] = ()
    catalogue: Catalogue | None = None
    trending: Trends = field(default_factory=Trends)
    repeatable: frozenset[str] = field(default_factory=frozenset)
    actions: tuple[Action, ...] = ()
    items: Mapping[str, Sequence[float]] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)

    def is_repeatable(self, item_id: str) -> bool:
        """Whether an item may be recommended again after it was bought."""
        if "*" in self.repeatable:
            return True
        item = None if self.catalogue is None else self.catalogue.get(item_id)
        return item is not None and item.category in self.repeatable

    @property
    def loaded(self) -> tuple[Champion, ...]:
        """Every model of slates that is in memory."""
        canary = None if self.canary is None else self.canary.challenger
        asked = (self.champion, *self.sources, canary, self.shadow)
        return (*(each for each in asked if each is not None), *self.spare)


def take(state: State, changed: Mapping[str, Item | None]) -> None:
    """Take changes of the catalogue in, in place; None is an item that was deleted."""
    if state.catalogue is not None:
        state.catalogue.update(changed)
    for champion in state.loaded:
        champion.columns.update(changed)
