"""What may be tuned of each model: the one table of ranges, read by training/tuning.py.

The defaults of a model's config lie within its ranges, since the first trial is always the defaults.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from features.errors import BadInput
from models import MODELS

Value = float | int | str


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included; `log` draws evenly by factor, `integer` whole numbers only."""

    low: float
    high: float
    log: bool = False
    integer: bool = False


@dataclass(frozen=True)
class Choice:
    """One of these."""

    values: tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """The ranges of a model by the names of its config's fields.

    `reports`: the model may be asked for scores from within fit()'s progress, so that a bad trial can be stopped early.
    """

    ranges: Mapping[str, Range | Choice]
    reports: bool = False


VISITS_BEYOND = Choice((50, 100, 200, 400, 0))  # 0: every history is whole

SPACES: dict[str, Space] = {
    "als": Space(
        {
            "embedding_size": Range(32, 384, log=True, integer=True),
            "alpha": Range(0.5, 64, log=True),
            "alpha_even": Range(0.5, 160, log=True),
            "regularization": Range(0.005, 1, log=True),
            "regularization_even": Range(0.3, 30, log=True),
            "epochs": Choice((8, 15, 30)),
            "visits_beyond": VISITS_BEYOND,
        }
    ),
    "ease": Space(
        {
            "regularization": Range(0.3, 300, log=True),
            "evenness": Range(0, 1),
            "modesty": Range(0, 1),
            "outward": Range(0, 0.5),
            "recency": Range(0, 1),
            "visits_beyond": VISITS_BEYOND,
        }
    ),
    "graph_filter": Space(
        {
            "rank": Range(32, 1024, log=True, integer=True),
            "modesty": Range(0, 1),
            "inward": Range(0, 1),
            "outward": Range(0, 1),
            "low_pass": Range(0.03, 3, log=True),
            "flatness": Range(1, 4, log=True),
            "lift": Range(0, 1),
            "visits_beyond": VISITS_BEYOND,
        }
    ),
    "item_knn": Space(
        {
            "neighbours": Range(20, 1000, log=True, integer=True),
            "shrinkage": Range(0.01, 10, log=True),
            "modesty": Range(0, 1),
            "recency": Range(0, 1),
            "visits_beyond": VISITS_BEYOND,
        }
    ),
    "sasrec": Space(
        {
            "embedding_size": Choice((32, 64, 128)),
            "blocks": Choice((1, 2, 3)),
            "temperature": Range(0.03, 0.2, log=True),
            "negatives": Choice((1024, 2048, 3840)),
            "learning_rate": Range(0.001, 0.01, log=True),
            "dropout": Choice((0.0, 0.2, 0.35, 0.5)),  # 0 is what the data say
        }
    ),
    "session_knn": Space(
        {
            "neighbours": Range(50, 2000, log=True, integer=True),
            "asked_decay": Range(0, 3),
            "idf": Range(0, 3),
            "distance_decay": Range(0.5, 20, log=True),
            "backward": Range(0, 1),
            "length": Range(0, 1),
            "damping": Range(0, 0.5),
            "walk": Range(0, 0.5),
            "step": Range(0, 0.5),
            "visits_beyond": VISITS_BEYOND,
        }
    ),
    "two_tower": Space(
        {
            "embedding_size": Range(32, 384, log=True, integer=True),
            "alpha": Range(0.5, 64, log=True),
            "alpha_even": Range(0.5, 160, log=True),
            "regularization": Range(0.005, 1, log=True),
            "regularization_even": Range(0.3, 30, log=True),
            "content_ridge": Range(0.01, 1, log=True),
            "visits_beyond": VISITS_BEYOND,
        }
    ),
    "trending": Space({"half_life_days": Range(0.25, 365, log=True)}),
}


def space_of(name: str) -> Space:
    """The space of a model.

    Raises:  BadInput: nothing of it can be tuned.
    """
    if name not in SPACES:
        raise BadInput(f"there is nothing to tune in {name!r}; tunable: {', '.join(SPACES)}", "tune")
    return SPACES[name]


def defaults_of(name: str) -> dict[str, Value]:
    """What production uses, of the parameters that can be tuned."""
    given = asdict(MODELS[name].settings())
    return {each: given[each] for each in space_of(name).ranges}
