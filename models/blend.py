"""A mixture of models whose weights are learned on what people did next, on events that no member was fitted on.

Neighbours, filters and transformers err on different people; a weighted sum of their standardised scores errs less than
any of them. What a person took before is a scorer of its own, where people take things again.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from features.errors import BadInput, BrokenArtifact, NotFitted
from models import artifacts
from models.als import Als
from models.arrays import Csr, Float32, Int32, Mask
from models.contracts import Model, Progress, Refreshable, Slates
from models.fields import MEMBER_SETTINGS, chosen, defaults, stored
from models.histories import Histories, History
from models.holdout import hold_out
from models.interactions import IdMap, Interactions
from models.linear.ease import Ease
from models.linear.graph_filter import GraphFilter
from models.linear.item_knn import ItemKnn
from models.mixing import AGAIN, mixed, weigh
from models.ranking import in_blocks, top
from models.sasrec.model import SasRec
from models.sessions.session_knn import SessionKnn
from models.trending import Trending

MEMBERS: dict[str, type[Model]] = {
    "als": Als,
    "ease": Ease,
    "graph_filter": GraphFilter,
    "item_knn": ItemKnn,
    "sasrec": SasRec,
    "session_knn": SessionKnn,
    "trending": Trending,
}
COSTLY = frozenset({"sasrec"})
REFIT_FROM = 0.05  # a costly member is fitted again only where at least this share of the events was kept aside
NEEDS_ORDER = frozenset({"sasrec", "session_knn"})
LISTS = ("members", MEMBER_SETTINGS)


@dataclass(frozen=True)
class BlendConfig:
    """`members` that need an order are left out where the source has none, and a member that turns out to count less
    than `least` of all is dropped before the rest is fitted again on everything.

    `users` at most give a `share` of their events (or their last visit) to learn the weights from; for each of them the
    best `candidates` of every member compete. `member_settings` are fields of members where they aren't the defaults,
    such as `sasrec.members=3`; `device` is where members are trained that can be trained on several.
    """

    members: tuple[str, ...] = ("graph_filter", "ease", "item_knn", "als", "session_knn", "sasrec", "trending")
    users: int = 2_000
    share: float = 0.2
    candidates: int = 100
    least: float = 0.02
    member_settings: tuple[str, ...] = ()
    device: str = "cpu"


class Blend:
    """The members, and what each of them counts."""

    name: ClassVar[str] = "blend"
    settings: ClassVar[type[BlendConfig]] = BlendConfig

    def __init__(self, config: BlendConfig | None = None, seed: int = 0) -> None:
        self._config = config or BlendConfig()
        self._seed = seed
        self._given = _given(self._config)
        self._members: dict[str, Model] = {}
        self._weights: dict[str, float] = {}

    @property
    def items(self) -> IdMap:
        """The catalogue that it was fitted on."""
        self._check_fitted()
        return next(iter(self._members.values())).items

    @property
    def members(self) -> dict[str, Model]:
        """The fitted members that count, by name."""
        self._check_fitted()
        return dict(self._members)

    @property
    def params(self) -> dict[str, float | int | str]:
        """Its configuration and seed."""
        texts = {name: ",".join(getattr(self._config, name)) for name in LISTS}
        return {**asdict(self._config), **texts, "seed": self._seed}

    @property
    def facts(self) -> dict[str, float]:
        """The weight of each member."""
        self._check_fitted()
        return {f"weight_{name}": weight for name, weight in self._weights.items()}

    def fit(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """Fit the members without the ends of some histories, learn the weights there, then fit again on everything."""
        if not len(interactions.histories.items):
            raise BadInput("there are no interactions to fit on; widen the window or import events", "interactions")
        config, ordered = self._config, interactions.histories.ordered
        names = [name for name in config.members if ordered or name not in NEEDS_ORDER]
        steps = _Steps(progress, 2 * len(names))
        held = hold_out(interactions, config.users, config.share, self._seed)
        members = self._fitted(names, held.learned, steps)
        weights = weigh(members, held, config.candidates)
        enough = config.least * sum(weights[name] for name in names)
        kept = [name for name in names if weights[name] >= enough]
        again = names if held.share >= REFIT_FROM else [name for name in names if name not in COSTLY]
        self._members = {name: self._made(name).fit(interactions) if name in again else members[name] for name in kept}
        self._weights = {name: weight for name, weight in weights.items() if name in kept or name in AGAIN}
        steps.finish()
        return self

    def refreshed(self, interactions: Interactions, progress: Progress | None = None) -> Self:
        """A new mixture of newer interactions with the weights of this one: members start from these where they can,
        and are fitted anew where that costs little."""
        self._check_fitted()
        fresh = type(self)(self._config, self._seed)
        steps = _Steps(progress, len(self._members))
        for name, member in self._members.items():
            if isinstance(member, Refreshable):
                fresh._members[name] = member.refreshed(interactions)
            else:
                fresh._members[name] = self._made(name).fit(interactions)
            steps.step()
        fresh._weights = dict(self._weights)
        return fresh

    def scores(self, histories: Histories) -> Float32:
        """The weighted sum of the members' standardised scores; popularity where the history is empty."""
        self._check_fitted()
        return mixed(self._members, self._weights, histories)

    def recommend(self, histories: Histories, k: int, exclude: Csr | None = None) -> Slates:
        """Exact ranking of all items."""
        self._check_fitted()
        return in_blocks(self.scores, histories, k, exclude)

    def recommend_one(self, history: History, k: int, allowed: Mask | None = None) -> Slates:
        """Exact ranking of all items that are allowed."""
        self._check_fitted()
        return top(self.scores(Histories.of([history], len(self.items)))[0], k, allowed)

    def similar(self, item: int, k: int, allowed: Mask | None = None) -> Slates:
        """What the member that counts most holds to be alike."""
        self._check_fitted()
        for member in self._by_weight():
            rows, scores = member.similar(item, k, allowed)
            if (rows >= 0).any():
                break
        return rows, scores

    def because(self, history: History, slate: Int32) -> Int32:
        """What the member that counts most names; the next one where it names nothing."""
        self._check_fitted()
        reasons = np.full(len(slate), -1, dtype=np.int32)
        for member in self._by_weight():
            unknown = reasons < 0
            if not unknown.any():
                break
            reasons[unknown] = member.because(history, slate[unknown])
        return reasons

    def save(self, folder: Path) -> None:
        """Write model.json and items.json, and each member into a folder of its own."""
        self._check_fitted()
        artifacts.write(folder, self.name, {**self.params, "weights": self._weights}, self.items, {})
        for name, member in self._members.items():
            (folder / name).mkdir()
            member.save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The mixture as it was saved."""
        params, items, _ = artifacts.read(folder, cls.name, {})
        try:
            lists = {key: tuple(filter(None, params[key].split(","))) for key in LISTS if key in params}
            model = cls(stored(BlendConfig, {**params, **lists}), int(params["seed"]))
            model._weights = {str(name): float(weight) for name, weight in params["weights"].items()}
            names = [name for name in model._weights if name not in AGAIN]
            model._members = {name: MEMBERS[name].load(folder / name) for name in names}
        except (KeyError, TypeError, ValueError, AttributeError, BadInput) as error:
            raise BrokenArtifact(f"model.json in {folder} lacks or misstates {error}") from error
        if any(member.items != items for member in model._members.values()):
            raise BrokenArtifact(f"the members in {folder} were fitted on different items")
        return model

    def _check_fitted(self) -> None:
        if not self._members:
            raise NotFitted("blend has no members yet: call fit() or load() first")

    def _by_weight(self) -> list[Model]:
        return [self._members[name] for name in sorted(self._members, key=lambda name: -self._weights[name])]

    def _fitted(self, names: list[str], interactions: Interactions, steps: "_Steps") -> dict[str, Model]:
        fitted = {}
        for name in names:
            fitted[name] = self._made(name).fit(interactions)
            steps.step()
        return fitted

    def _made(self, name: str) -> Model:
        kind = MEMBERS[name]
        return kind(kind.settings(**self._given.get(name, {})), self._seed)


def _given(config: BlendConfig) -> dict[str, dict[str, object]]:
    """The fields of each member that aren't as in production.

    Raises:  BadInput: a member or a field that there isn't, or a value that can't be.
    """
    for name in config.members:
        if name not in MEMBERS:
            raise BadInput(f"blend has no member {name!r}; known ones: {', '.join(MEMBERS)}", "members")
    settings = {name: kind.settings for name, kind in MEMBERS.items()}
    given = chosen(config.member_settings, settings)
    for name, kind in settings.items():
        if "device" in defaults(kind):
            given[name] = {"device": config.device, **given.get(name, {})}
        kind(**given.get(name, {}))  # says what isn't possible before anything is fitted
    return given


class _Steps:
    """Progress over the fits of all members, those included that turn out to be left out."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def step(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total)

    def finish(self) -> None:
        while self._done < self._total:
            self.step()
