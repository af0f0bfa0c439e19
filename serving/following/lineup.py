"""The models of one worker: which are in memory, which of them a State is made of, and which are let go."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from features.online import canary_trial, shadow_trial
from serving.decide.catalogue import Catalogue
from serving.decide.columns import Columns
from serving.decide.state import Canary, Champion, LoadedRanker, State
from serving.following.plans import RANKER, Key, Plan, Wanted

SPARE_BYTES = 1 << 30  # of files of models that serve nobody at the moment


@dataclass(frozen=True)
class Loaded:
    """A model in memory, and what its files weigh in bytes."""

    model: Champion | LoadedRanker
    size: int


@dataclass
class Lineup:
    """`models` are in memory, the least lately loaded first; `refused` never will be, and says why.

    `dropped` were let go for want of room: they are loaded again when somebody is to be served with them.
    """

    plan: Plan = field(default_factory=Plan)
    models: dict[Key, Loaded] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)
    dropped: set[Key] = field(default_factory=set)
    _served: set[Key] = field(default_factory=set)

    def missing(self) -> list[Key]:
        """What is to be loaded, the most urgent first."""
        wanted = dict.fromkeys((*self.plan.urgent, *(key for key in self.plan.warm if key not in self.dropped)))
        return [key for key in wanted if key not in self.models and key not in self.refused]

    @property
    def pending(self) -> bool:
        """Whether the registry names champions of slates, and none is in memory that could be."""
        wanted = [key for each in self.plan.champions for key in (each.champion, *each.instead)]
        return not any(key in self.models for key in wanted) and any(key not in self.refused for key in wanted)

    def into(self, state: State) -> State:
        """The state with the models that the plan names; where one isn't there yet, what was served goes on."""
        serving = {each.name: each for each in (state.champion, *state.sources) if each is not None}
        chosen = [self._chosen(wanted, serving.get(wanted.champion.name)) for wanted in self.plan.champions]
        champions = [each for each in chosen if each is not None]
        canary = self._canary(champions)
        tried = self.plan.shadow
        shadow = None if tried is None else self._slates(tried.key)
        used = [*champions, *([canary.challenger] if canary else []), *([shadow] if shadow else [])]
        self._served = {Key(each.name, each.version) for each in used}
        spare = [key for key in self.models if key not in self._served]
        return replace(
            state,
            champion=champions[0] if champions else None,
            sources=tuple(champions[1:]),
            canary=canary,
            shadow=shadow,
            shadow_trial="" if tried is None or shadow is None else shadow_trial(*tried.key, tried.since),
            ranker=self._ranker(state.ranker),
            spare=tuple(each for key in spare if (each := self._slates(key)) is not None),
        )

    def let_go(self) -> list[Key]:
        """Forget spare models beyond SPARE_BYTES, unwanted ones first; a version to roll back to always stays."""
        before = {key for wanted in self.plan.champions for key in wanted.instead[:1]}
        kept = {*self.plan.urgent, *before, *self._served}
        spare = [key for key in self.models if key not in kept and key.name != RANKER]
        over = sum(self.models[key].size for key in spare) - SPARE_BYTES
        gone: list[Key] = []
        for key in sorted(spare, key=lambda key: key in self.plan.warm):
            if over > 0:
                over -= self.models.pop(key).size
                gone.append(key)
        self.dropped.update(gone)
        return gone

    def restock(self, columns: dict[Key, Columns]) -> None:
        """Put other columns beside the models."""
        for key, made in columns.items():
            loaded = self.models.get(key)
            if loaded is not None and isinstance(loaded.model, Champion):
                self.models[key] = replace(loaded, model=replace(loaded.model, columns=made))

    def columns(self, catalogue: Catalogue) -> dict[Key, Columns]:
        """Columns of a catalogue for every model of slates, which takes a while."""
        return {
            key: Columns(loaded.model.model.items, catalogue)
            for key, loaded in list(self.models.items())
            if isinstance(loaded.model, Champion)
        }

    def _chosen(self, wanted: Wanted, serving: Champion | None) -> Champion | None:
        """The champion if it is there; else what is served of the model; else, of a refused one, what comes instead."""
        named = self._slates(wanted.champion)
        if named is not None or serving is not None:
            return named or serving
        instead: Iterable[Key] = wanted.instead if wanted.champion in self.refused else ()
        return next((each for key in instead if (each := self._slates(key)) is not None), None)

    def _canary(self, champions: list[Champion]) -> Canary | None:
        trial = self.plan.canary
        challenger = None if trial is None else self._slates(trial.key)
        if trial is None or challenger is None or all(each.name != trial.key.name for each in champions):
            return None
        if any(Key(each.name, each.version) == trial.key for each in champions):
            return None
        return Canary(challenger, trial.share, canary_trial(*trial.key, trial.since))

    def _slates(self, key: Key | None) -> Champion | None:
        loaded = None if key is None else self.models.get(key)
        return loaded.model if loaded is not None and isinstance(loaded.model, Champion) else None

    def _ranker(self, serving: LoadedRanker | None) -> LoadedRanker | None:
        wanted = self.plan.ranker
        if wanted is None:
            return None
        for key in (wanted.champion, *(wanted.instead if wanted.champion in self.refused else ())):
            loaded = self.models.get(key)
            if loaded is not None and isinstance(loaded.model, LoadedRanker):
                return loaded.model
        return serving
