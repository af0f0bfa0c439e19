"""Mathematics over arrays: a file per model, in rooms by kind, each with its line here; trained files are in MLflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from features.errors import BadInput, BrokenArtifact
from models import artifacts, fields
from models.als import Als
from models.blend import Blend
from models.contracts import Model
from models.customers.churn import Churn
from models.customers.clusters import Clusters
from models.customers.customer_space import CustomerSpace
from models.customers.lookalike import Lookalike
from models.linear.ease import Ease
from models.linear.graph_filter import GraphFilter
from models.linear.item_knn import ItemKnn
from models.ranker import Ranker
from models.sasrec.model import SasRec
from models.sessions.session_knn import SessionKnn
from models.trending import Trending
from models.two_tower import TwoTower

MODELS: dict[str, type[Model]] = {
    "als": Als,
    "blend": Blend,
    "ease": Ease,
    "graph_filter": GraphFilter,
    "item_knn": ItemKnn,
    "sasrec": SasRec,
    "session_knn": SessionKnn,
    "trending": Trending,
    "two_tower": TwoTower,
}

READS_CONTENT = frozenset({"two_tower"})  # fitted on what the catalogue says of items, met or not
READS_CONTEXTS = frozenset({"trending"})  # fitted on where and on which device events happened


def create(name: str, seed: int = 0, params: Mapping[str, object] | None = None) -> Model:
    """An unfitted model with the configuration that production uses.

    Args:    params: fields of its configuration that are to be others.
    Raises:  BadInput: there is no such model, or it has no such parameter.
    """
    if name not in MODELS:
        raise BadInput(f"there is no model {name!r}; known ones: {', '.join(MODELS)}", "model")
    kind = MODELS[name]
    known = fields.defaults(kind.settings)
    for given in params or {}:
        if given not in known:
            raise BadInput(f"{name} has no parameter {given!r}; known ones: {', '.join(known)}", given)
    return kind(kind.settings(**(params or {})), seed)


def placed(name: str, device: str, params: Mapping[str, object] | None = None) -> dict[str, object]:
    """The parameters with the device to train on, whatever they said of it, for a model that can be trained on several.

    Args:    name: of any model, also one that is not of slates.
    """
    kind = MODELS.get(name)
    known = {} if kind is None else fields.defaults(kind.settings)
    return {**(params or {}), **({"device": device} if "device" in known else {})}


def chosen(words: Sequence[str]) -> dict[str, dict[str, object]]:
    """Parameters of models as somebody types them, by model: `als.embedding_size=64`, `blend.sasrec.members=3`.

    Raises:  BadInput: naming what isn't of this form, or what there isn't.
    """
    found = fields.chosen(words, {name: kind.settings for name, kind in MODELS.items()})
    for name, params in found.items():
        create(name, params=params)  # a blend reads what is said of its members
    return found


def parameters(name: str, logged: Mapping[str, str]) -> dict[str, object]:
    """The fields of a model's configuration from their texts, as a registry keeps them; others are left out."""
    settings = MODELS[name].settings
    return {
        field: fields.typed(settings, field, logged[field], name)
        for field in fields.defaults(settings)
        if field in logged
    }


def facts_of(folder: Path) -> dict[str, float]:
    """Load whatever model a verified folder holds, of items or of customers, and say what it measured about itself.

    Raises:  BrokenArtifact: the files can't be read, or are of a model that this version doesn't know.
    """
    name = artifacts.stored_name(folder)
    if name == Lookalike.name:
        CustomerSpace.load(folder)
        Lookalike.load(folder)
        return {}
    kinds: dict[str, type[Churn | Clusters | Ranker]] = {each.name: each for each in (Churn, Clusters, Ranker)}
    return kinds[name].load(folder).facts if name in kinds else load(folder).facts


def load(folder: Path) -> Model:
    """The model that a verified folder holds.

    Raises:  BrokenArtifact: the files can't be read, or are of a model that this version doesn't know.
    """
    name = artifacts.stored_name(folder)
    if name not in MODELS:
        raise BrokenArtifact(f"{folder} holds a model {name!r} that this Kindred doesn't know")
    return MODELS[name].load(folder)
