"""A question as the stages see it: what is asked, of which state, within which bounds, by which rules and models."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from features.items import Item
from models.histories import History
from serving.decide.actions import Action, Filter, active
from serving.decide.asked import Asked
from serving.decide.limits import Limits
from serving.decide.state import Champion, State
from serving.decide.trends import keys_of

SESSION_MODELS = frozenset({"sasrec", "session_knn"})
BRIEF = 3  # items of a history that says more by its order than by its taste


@dataclass(frozen=True)
class Question:
    """`models` in the order in which they are asked; `never` must not be shown, `seen` only where nothing else is left.

    `keys` are the contexts that something trends in; `rules` those that hold now and here.
    """

    state: State
    asked: Asked
    limits: Limits
    rules: tuple[Action, ...]
    models: tuple[Champion, ...]
    never: frozenset[str]
    seen: frozenset[str]
    keys: tuple[str, ...]
    _histories: dict[str, History] = field(default_factory=dict)

    @property
    def shop(self) -> Mapping[str, Item]:
        """The catalogue, empty until it could be read once."""
        return {} if self.state.catalogue is None else self.state.catalogue.by_id

    @property
    def limited(self) -> frozenset[str]:
        """The categories that the caller limits the slate to; empty means all."""
        return self.limits.where.categories

    def history(self, champion: Champion) -> History:
        """What is known of the customer in the rows of a model, oldest first."""
        found = self._histories.get(champion.name)
        if found is None:
            touches = self.asked.touches
            found = History(
                np.array(champion.model.items.rows_of([touch.item_id for touch in touches]), dtype=np.int32),
                np.array([touch.confidence for touch in touches], dtype=np.float32),
                np.array([touch.at for touch in touches], dtype=np.int64),
            )
            self._histories[champion.name] = found
        return found


def question(state: State, asked: Asked) -> Question:
    """The bounds, rules and models of what is asked."""
    rules = active(state.actions, asked.placement, asked.now)
    limits = asked.limits
    for rule in rules:
        if isinstance(rule, Filter):
            limits = rule.apply(limits)
    again = {item_id for item_id in asked.bought if state.is_repeatable(item_id)} if state.repeatable else set[str]()
    looked_at = asked.alike or asked.item_id
    item = None if looked_at is None or state.catalogue is None else state.catalogue.get(looked_at)
    return Question(
        state=state,
        asked=asked,
        limits=limits,
        rules=rules,
        models=_models(state, asked),
        never=frozenset(asked.exclude) | (asked.bought - again) | ({asked.alike} if asked.alike else set()),
        seen=frozenset(touch.item_id for touch in asked.touches) - again,
        keys=state.trending.known(keys_of(asked.context, "" if item is None else item.category)),
    )


def _models(state: State, asked: Asked) -> tuple[Champion, ...]:
    """A visitor, a stateless client and whoever did little are best known by what came last: models of order first."""
    models = (*(() if state.champion is None else (state.champion,)), *state.sources)
    if len(models) > 1 and (not asked.customer.startswith("u:") or len(asked.touches) <= BRIEF):
        return tuple(sorted(models, key=lambda champion: champion.name not in SESSION_MODELS))
    return models
